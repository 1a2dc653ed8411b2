"""Checks of the exercises: one module for each lesson, one function for each exercise.

A check never raises because of the learner's answer. It returns a `Feedback` whose text says
what is already right or what is still wrong.

Notebook: all
"""
