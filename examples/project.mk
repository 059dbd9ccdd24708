# The commands of a project in this folder: its Makefile is `include ../project.mk`. They use the environment of the
# repository, which is made first.

ROOT := ../..
BIN  := $(ROOT)/.venv/bin
PORT ?= 3000
RELEASE ?= latest

export PORT
export TABULAR_BENTO_GRPC_PORT ?= 3001
export BENTOML_DO_NOT_TRACK ?= True

.DEFAULT_GOAL := help
.PHONY: help environment demo test train release rollback serve build features

help:  ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

environment:
	@$(MAKE) --no-print-directory -C $(ROOT) .venv/.locked

demo: environment  ## Train, serve, replay over every protocol, post labels, report drift, comparison and skew
	@$(BIN)/tabular-bento demo $(ARGS)

test: environment  ## Run the project's tests
	@$(BIN)/python -m pytest $(ARGS)

train: environment  ## Train a model and save it into the BentoML store
	@$(BIN)/tabular-bento train $(ARGS)

release: environment  ## Make the latest model the champion, if it is not worse than the one in service
	@$(BIN)/tabular-bento release $(RELEASE) $(ARGS)

rollback: environment  ## Make the champion before this one the champion again
	@$(BIN)/tabular-bento rollback $(ARGS)

serve: environment  ## Serve in the foreground
	@$(BIN)/bentoml serve service:Service --port $(PORT) --timeout-graceful-shutdown 60

build: environment  ## Build the bento of the champion
	@$(BIN)/bentoml build

features: environment  ## List the features
	@$(BIN)/tabular-bento features
