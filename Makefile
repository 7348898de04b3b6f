# Verbs. The build itself is CMake's (CMakePresets.json); this file only says what a person wants done.
.DEFAULT_GOAL := build
.PHONY: build demo test bench install uninstall package format check check-peers coverage clean help

PREFIX ?= /usr/local
SOURCES = $(shell git ls-files '*.c' '*.h' 2>/dev/null)

build: ## build/your_ai
	@scripts/install-deps.sh build
	@cmake --preset release -DYA_TESTS=OFF >/dev/null
	@cmake --build --preset release

demo: build ## fine-tune a real model on conflicting documents, plain and weighted, and print what the weights did
	@scripts/get-model.sh smollm2-135m
	@build/your_ai demo -m models/smollm2-135m.gguf --facts 12 --seeds 3

test: ## build and run every test that needs nothing beside this folder; TEST_OPTIONS: more options of ctest, such as -R tokenizer
	@scripts/install-deps.sh test
	@scripts/get-model.sh smollm2-135m
	@cmake --preset release -DYA_TESTS=ON >/dev/null
	@cmake --build --preset release
	@ctest --test-dir build --output-on-failure --no-tests=error -LE 'corpora|ci' -j "$$(nproc)" $(TEST_OPTIONS)
	@echo "left out: the group 'corpora' ($$(ctest --test-dir build -N -L corpora | sed -n 's/^Total Tests: //p') tests), which needs files of other projects in ../shared/corpora: ctest --test-dir build -L corpora"

bench: build ## this machine's ceilings, each kernel's share of them, tokens/s of training and generation
	@scripts/get-model.sh smollm2-135m
	@build/your_ai bench-kernels -m models/smollm2-135m.gguf

install: build ## program, libraries, headers, pkg-config and CMake files to $(PREFIX); DESTDIR stages
	@cmake --install build --prefix $(PREFIX)

uninstall: ## remove from $(PREFIX) what install put there
	@cmake -DBUILD=build -DPREFIX=$(PREFIX) -P cmake/uninstall.cmake

package: build ## a .deb, a portable tar and a Python wheel of the program in build-package/out (docs/packages.md)
	@scripts/package.sh

format: ## rewrite the sources in the house style
	@clang-format -i $(SOURCES)

check: build ## the guide's commands, layers, sizes, comments, docs, format, cppcheck, clang-tidy
	@scripts/install-deps.sh dev
	@tools/check_layers.py
	@tools/check_sizes.py
	@tools/check_comments.py
	@tools/check_docs.py
	@tools/check_scripts.sh
	@scripts/get-model.sh smollm2-135m
	@tools/check_guide.py build/your_ai models/smollm2-135m.gguf
	@clang-format --dry-run --Werror $(SOURCES)
	@cmake --preset debug >/dev/null
	@tools/check_static.sh build-debug

check-peers: build ## against PyTorch, transformers, PEFT and llama.cpp's quantiser (docs/peers.md); installs 3 GB from PyPI once; CHECKS="merge peft": some
	@scripts/get-model.sh smollm2-135m
	@scripts/check-peers.sh $(CHECKS)

coverage: ## line coverage of src/ by the tests
	@scripts/install-deps.sh dev
	@scripts/get-model.sh smollm2-135m
	@tools/coverage.sh

clean:
	@rm -rf build build-*

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12
