# make lab        set everything up and open the first lesson
# make check      style, types, and the tests that need neither a browser nor a training run
# make test       set everything up and run every test
# make train      train lesson 5's denoiser, about five minutes
# make bench      score every denoiser on the test clips, beside what else one could install
# make compare    train every design and every loss under one budget (three quarters of an hour)
# make data       build data/ again from its sources (Debian or Ubuntu, FFmpeg)
# make screenshots  take the README's pictures again
# make site       build the course as a website in build/site, from the lessons as they stand
# make lock       write the locks again, after a change of a requirements.txt
#
# Another Python:            make lab PYTHON=python3.12
# Another build of PyTorch:  make lab TORCH_INDEX=https://download.pytorch.org/whl/cpu
# On a server:               make lab LAB_OPTIONS="--no-browser --port=8888", and on your own machine
#                            ssh -N -L 8888:localhost:8888 you@server; then open the address it shows
# Newer packages:            make lock LOCK_OPTIONS=--upgrade
# Any of these without make: see README.md

PYTHON ?= python3
TORCH_INDEX ?=
LAB_OPTIONS ?=
LOCK_OPTIONS ?=
VENV := .venv
BIN := $(VENV)/bin
NBVAL := --nbval-lax --nbval-current-env --nbval-cell-timeout=900 \
         --nbval-sanitize-with=tests/nbval_sanitize.cfg

INSTALL := TORCH_INDEX="$(TORCH_INDEX)" $(BIN)/python install.py
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
        --generate-hashes --custom-compile-command "make lock" $(LOCK_OPTIONS)

.PHONY: lab check test train bench compare data screenshots site lock

lab: $(VENV)/.ready
	$(BIN)/python -m course_utils.check_environment
	$(BIN)/jupyter lab --notebook-dir=. $(LAB_OPTIONS) notebooks/01_create_paired_audio_data.ipynb

check: $(VENV)/.ready-to-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy course_utils
	$(BIN)/python -m pytest -m "not browser and not training and not slow"

test: $(VENV)/.ready-to-test
	$(BIN)/python -m course_utils.check_environment
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy course_utils
	$(BIN)/python -m pytest -n 2 --dist loadgroup
	rm -rf build/notebooks && mkdir -p build/notebooks && cp notebooks/*.ipynb build/notebooks
	$(BIN)/python -m pytest -n 2 --dist loadfile $(NBVAL) build/notebooks

train: $(VENV)/.ready
	$(BIN)/python -m course_utils.train --force --output notebooks/output/denoiser.pt

bench: $(VENV)/.ready-to-bench
	mkdir -p build
	$(BIN)/python tests/benchmarks/benchmark_denoisers.py \
	  --csv build/benchmark.csv --picture build/benchmark.png
	$(BIN)/python tests/benchmarks/judges.py --csv build/opinions.csv
	$(BIN)/python tests/benchmarks/benchmark_speed.py --csv build/speed.csv
	$(BIN)/python tests/benchmarks/benchmark_mixing.py

compare: $(VENV)/.ready-to-test
	mkdir -p build
	$(BIN)/python tests/benchmarks/compare_models.py --csv build/comparison.csv

data: $(VENV)/.ready-to-test
	$(BIN)/python data/build_data.py

screenshots: $(VENV)/.ready-to-test
	$(BIN)/python tests/tools/screenshots.py

site: $(VENV)/.ready-to-site
	rm -rf build/site
	$(BIN)/python -m sphinx -c site -d build/site-cache -E -W --keep-going -q . build/site
	$(BIN)/python tests/tools/check_site.py build/site

# A lock follows its requirements.txt, and has the versions of the locks before it.
lock: $(VENV)/.ready-to-test
	$(LOCK) requirements.txt -o requirements.lock
	$(LOCK) tests/requirements.txt -c requirements.lock -o tests/requirements.lock
	$(LOCK) tests/benchmarks/requirements.txt -c requirements.lock -c tests/requirements.lock \
	  -o tests/benchmarks/requirements.lock
	$(LOCK) site/requirements.txt -c requirements.lock -c tests/requirements.lock \
	  -o site/requirements.lock

# Installed once; again only when a lock changes.
$(VENV)/.ready: requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { \
	  echo "There is no $(PYTHON) here: install Python 3.11, 3.12 or 3.13, or name it: make lab PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
	  echo "$(PYTHON) is `$(PYTHON) --version`, and the course runs on Python 3.11, 3.12 and 3.13: name one of these, as in: make lab PYTHON=python3.12"; exit 1; }
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(INSTALL)
	touch $@

$(VENV)/.ready-to-test: $(VENV)/.ready tests/requirements.lock
	$(INSTALL) tests
	touch $@

$(VENV)/.ready-to-bench: $(VENV)/.ready-to-test tests/benchmarks/requirements.lock
	$(INSTALL) tests/benchmarks
	touch $@

$(VENV)/.ready-to-site: $(VENV)/.ready site/requirements.lock
	$(INSTALL) site
	touch $@
