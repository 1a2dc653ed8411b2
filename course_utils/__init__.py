"""Small, tested helpers for the six lessons of the noise cancellation course.

One module for each noun of the field: ``course_utils.audio``, ``course_utils.mixing``,
``course_utils.features`` and so on. Import the module or the function that you need;
nothing is imported here, so that a lesson loads only what it uses.
"""

__version__ = "1.0.0"
