"""The words of the course, each in one or two sentences, with the lesson that explains it.

`notebooks/glossary.md` is made from this list::

    python site/glossary.py > notebooks/glossary.md
"""

from __future__ import annotations

from typing import NamedTuple


class Term(NamedTuple):
    """One word: the lesson that explains it, and what it means."""

    name: str
    lesson: int
    meaning: str


# In every lesson named here, the word stands in bold where it is first explained.
TERMS = tuple(
    Term(*term)
    for term in (
        ("Adam", 5, "The usual optimizer: it gives every weight a step length of its own. AdamW is "
         "Adam with weight decay."),
        ("aliasing", 2, "A tone above half the sample rate that comes out as a lower one."),
        ("augmentation", 5, "Changing training clips at random, so that few become many."),
        ("bands", 4, "Neighbouring bins merged into one number: one each below 2 kHz, ever more "
         "of them above."),
        ("baseline", 4, "What a method must beat: doing nothing, or an older method."),
        ("batch", 1, "Several clips of one length that go through the network together."),
        ("BatchNorm", 5, "A layer that brings every feature to a common mean and spread: of the "
         "batch while it trains, of all batches so far when it is used."),
        ("bin", 3, "One frequency of a transform: one row of a spectrogram."),
        ("bit depth", 2, "How many bits a file spends on one sample, 16 as a rule."),
        ("blind test", 6, "Listening to two versions in random order, without names, and voting."),
        ("bootstrap", 6, "Drawing from the scores with putting back, again and again, to see how "
         "far their mean moves: where the intervals come from."),
        ("bottleneck", 4, "The narrowest place of a network, between encoder and decoder."),
        ("causal", 4, "Using nothing that lies in the future, so that it works in a live call."),
        ("cell", 3, "One bin in one frame: a single number of a spectrogram. Papers say "
         "time-frequency unit."),
        ("channel", 2, "One microphone's signal in a recording: mono has one, stereo two. In a "
         "network: one of several pictures that a layer makes side by side."),
        ("checkpoint", 5, "A file with the weights of a network and what is needed to use them."),
        ("clean", 1, "Speech without noise: what the model should give back."),
        ("clipping", 2, "Samples past full scale that are cut off flat; it crackles."),
        ("clock drift", 1, "Two recorders whose clocks do not tick alike, so that the delay "
         "between them grows. Counted in ppm."),
        ("COLA", 3, "Constant overlap-add: the windows add up to a constant, so that frames can be "
         "added without dividing."),
        ("confidence interval", 6, "Made so that, in 95 of 100 such tests, it holds the true "
         "mean."),
        ("convolution", 1, "Every sample starts a copy of one short signal, and all copies are "
         "added: how a room answers to speech, and what a convolutional layer does."),
        ("cosine schedule", 5, "The learning rate falls along half a cosine, from its highest "
         "value to nearly zero."),
        ("cross-correlation", 1, "Multiply and add two clips at every shift; the largest sum "
         "tells by how much one comes late."),
        ("dBFS", 2, "Decibels relative to full scale: 0 is the loudest that a file can hold."),
        ("Dataset", 1, "A class of PyTorch that knows how many items there are, and fetches one."),
        ("DC offset", 2, "A waveform that moves around a value other than zero."),
        ("decibel", 1, "A scale of ratios: 10 dB is ten times the power, 20 dB ten times the "
         "amplitude. Written dB."),
        ("decoder", 4, "The second half of a network: from few rich numbers back to the picture."),
        ("DNSMOS", 5, "A score that a network guesses: what listeners would say of a sound, from 1 "
         "to 5. It needs no clean clip."),
        ("Dropout", 5, "A layer that zeroes numbers at random while it trains."),
        ("encoder", 4, "The first half of a network: from the picture to few rich numbers."),
        ("epoch", 5, "One round through the training data."),
        ("Fourier transform", 3, "Tells how much of each frequency is in a stretch of sound."),
        ("floor", 3, "A lowest value in decibels: below it, a level is raised to it."),
        ("frame", 3, "One column of a spectrogram: what one position of the window showed. In "
         "a file: the samples of all channels at one moment."),
        ("frequency", 3, "How many cycles a second, in hertz (Hz)."),
        ("full scale", 1, "The largest value that a file can hold: samples from -1 to 1."),
        ("gain", 1, "A factor that all samples are multiplied by."),
        ("generalisation gap", 6, "How much worse a model is on clips that it did not learn from."),
        ("Goodhart's law", 5, "Once a measure becomes a target, it stops being a good measure."),
        ("gradient", 5, "For every weight: how the loss changes if the weight grows a little."),
        ("gradient clipping", 5, "Shortening a gradient that is too long, so that one odd clip "
         "cannot throw the weights far away."),
        ("Hann window", 3, "A window that fades in and out like one swing of a cosine."),
        ("harmonics", 3, "The multiples of a voice's pitch: the bright lines of a vowel."),
        ("hop length", 3, "The samples from one frame of a spectrogram to the next."),
        ("ideal ratio mask", 3, "The mask that one can work out when speech and noise are known "
         "apart: near 1 where speech rules, near 0 where noise does."),
        ("impulse response", 1, "What a microphone hears of a single clap in a room."),
        ("lag", 1, "By how many samples one clip is shifted against another."),
        ("latency", 6, "How much later the cleaned sound comes than the noisy one."),
        ("leak", 1, "A voice or a noise that is on both sides of a split, so that the test knows "
         "less than it seems to."),
        ("learning rate", 5, "How far one step moves the weights."),
        ("loss", 5, "One number for how wrong the output is; training makes it smaller."),
        ("magnitude", 3, "The size of a cell's complex number: how strong that frequency is then."),
        ("manifest", 1, "A table with one row for each clip."),
        ("mask", 4, "A number from 0 to 1 for every cell: how much of it to keep."),
        ("mel", 3, "A scale of pitch as the ear hears it: fine at the bottom, coarse at the top."),
        ("memory", 4, "The part of a network that carries something from frame to frame."),
        ("MSE", 1, "Mean squared error: subtract, square, take the mean."),
        ("multiply-adds", 4, "The multiplications, each with its addition, that a network needs."),
        ("musical noise", 4, "Short tones that blink here and there, left over where a simple "
         "method removed noise in some cells and not in their neighbours."),
        ("NOLA", 3, "Non-zero overlap-add: the squared windows never add up to zero. Then the way "
         "back from a spectrogram is exact."),
        ("noisy", 1, "Speech with noise: what the model is given."),
        ("Nyquist frequency", 2, "Half the sample rate: the highest frequency that fits."),
        ("oracle", 4, "A method that is told the answer, such as the ideal mask: a reference."),
        ("optimizer", 5, "What moves the weights, a step at a time, against the gradient."),
        ("over-fitting", 5, "Learning the training clips by heart, and little else."),
        ("over-suppression", 4, "Removing so much that soft sounds go with the noise."),
        ("overlap-add", 3, "The way back from a spectrogram: every frame to samples, windowed "
         "again, added where it was."),
        ("overlap-add condition", 3, "The windows of a spectrogram overlap so that no sample is "
         "lost: NOLA, or the stronger COLA."),
        ("pair", 1, "One clip twice, with noise and without, lined up sample by sample."),
        ("parameters", 4, "The numbers in a network that training changes; also: weights."),
        ("parts per million", 1, "A unit for small ratios, ppm: 100 ppm of 16,000 samples a second "
         "are 1.6 samples a second."),
        ("paired comparison", 6, "Taking the difference clip by clip before averaging, so that "
         "what makes a clip hard for everybody cancels."),
        ("PESQ", 6, "A score for how good speech sounds, from 1 to 4.6, made by a model of "
         "hearing."),
        ("phase-sensitive mask", 4, "A mask that is smaller where the noisy phase is wrong."),
        ("phase", 3, "The direction of a cell's complex number: where in its cycle the frequency "
         "is."),
        ("polarity", 1, "Which way round plus and minus are: inverted, a waveform is multiplied by "
         "-1."),
        ("power", 1, "The mean of the squared samples. In a spectrogram: the squared magnitude."),
        ("real-time factor", 6, "Time to compute divided by the length of the sound: below 1 "
         "keeps up."),
        ("receptive field", 4, "How much of the input one output number can see."),
        ("RMS", 2, "Root of the mean of the squared samples: a measure of level."),
        ("sample", 1, "One reading of the air pressure."),
        ("sample rate", 1, "Samples a second, in hertz: 16,000 in this course."),
        ("SI-SDR", 1, "How far the speech in an output stands above everything else in it, in "
         "dB; the volume does not count."),
        ("signal-to-noise ratio", 1, "The power of speech over the power of noise, in dB: SNR."),
        ("skip connections", 4, "Shortcuts that carry what the encoder saw to the decoder."),
        ("spectral leakage", 3, "The energy of a tone that shows up in other bins, because the "
         "window cuts it off."),
        ("spectral subtraction", 4, "Estimate the noise in a pause and subtract it everywhere."),
        ("spectrogram", 1, "A picture of sound: time to the right, frequency upwards, bright is "
         "loud."),
        ("STOI", 6, "A score for how well speech can be understood, from about 0 to 1. ESTOI is "
         "its stricter sister."),
        ("target", 1, "What the model's output is compared with."),
        ("tensor", 1, "PyTorch's array of numbers."),
        ("test", 1, "The clips that are touched once, at the very end."),
        ("validation", 1, "The clips that choices are made by, and that training never uses."),
        ("warm-up", 5, "The first steps of a run, in which the learning rate rises."),
        ("waveform", 1, "Sound as a row of samples; as a tensor, shape (channel, time)."),
        ("Wiener filter", 4, "A mask worked out from an estimate of speech power over noise "
         "power, cell by cell."),
        ("window", 3, "The curve that fades a short stretch of sound in and out before it is "
         "transformed."),
        ("word errors", 6, "Words that a recogniser gets wrong, leaves out or adds."),
    )
)  # fmt: skip


def as_markdown(terms: tuple[Term, ...] = TERMS) -> str:
    """Write the page that the notebooks point to.

    Args:
        terms: What stands in it; it is sorted here.

    Returns:
        A Markdown page that ends with a newline.
    """
    lines = ["# The words of the course", "", "Each with the lesson that explains it.", ""]
    for term in sorted(terms, key=lambda term: term.name.lower()):
        lines.append(f"- **{term.name}** (lesson {term.lesson}): {term.meaning}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(as_markdown(), end="")
