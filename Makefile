# ecommerce-stack: `make help` lists what there is. The two that matter are
# `make up` (a running store) and `make test` (a verdict).
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

# The Go toolchain: the one on PATH, or one that hack/go.sh fetches; looked for once,
# when a target first needs it.
GO = $(eval GO := $(shell sh hack/go.sh))$(or $(GO),$(error no Go toolchain: see the message above))
# Programs that start `go` themselves find the same one.
WITH_GO = export PATH="$(dir $(GO)):$$PATH";
export GOFLAGS := -buildvcs=false

CLUSTER = $(GO) run ./hack/cluster
MODULES := services/event services operator/api operator charts hack/testenv hack
# Tools of hack/tools are built once per change of their versions.
TOOL_DIR = $(CURDIR)/_out/tools
TESTS = $(CURDIR)/_out/tests
# $(call gotest,NAME,FLAGS AND PACKAGES): run tests and keep what became of each.
gotest = mkdir -p $(TESTS) && $(TOOL_DIR)/gotestsum --format pkgname-and-test-fails --format-hide-empty-pkg --hide-summary=skipped --jsonfile $(TESTS)/$(1).json -- -count=1 $(2)

##@ Run

.PHONY: up
up: ## Everything to a running store: cluster, images, operator, sample stack, demo
	@$(WITH_GO) $(CLUSTER) up
	@$(MAKE) reload
	@$(MAKE) demo
	@$(MAKE) next

.PHONY: reload
reload: images ## Build, load and roll out what changed, on a cluster that is up
	@$(WITH_GO) $(CLUSTER) load _out/images/*.tar
	@$(WITH_GO) $(GO) run ./hack/install

.PHONY: next
next:
	@echo "The store answers at http://localhost:5001. Next:"
	@echo
	@echo "  export KUBECONFIG=$$($(CLUSTER) kubeconfig) PATH=$$($(CLUSTER) assets):\$$PATH"
	@echo "  kubectl -n shop get secret demo-manager -o jsonpath='{.data.password}' | base64 -d   # the manager's password"
	@echo "  curl -s http://localhost:5001/products"
	@echo "  kubectl -n shop get estack,pods"
	@echo "  make demo"

.PHONY: down
down: ## Remove exactly what `up` made; caches stay
	@$(WITH_GO) $(CLUSTER) down

.PHONY: status
status: ## Processes, node and pods of the cluster
	@$(WITH_GO) $(CLUSTER) status

.PHONY: logs
logs: ## Logs of the cluster's components (COMPONENT=kubelet for one)
	@$(WITH_GO) $(CLUSTER) logs $(COMPONENT)

.PHONY: kubeconfig
kubeconfig: ## Print the path of the kubeconfig, nothing else
	@$(WITH_GO) $(CLUSTER) kubeconfig

.PHONY: demo
demo: ## Place orders of every kind and check what became of them
	@$(WITH_GO) KUBECONFIG="$${KUBECONFIG:-$$($(CLUSTER) kubeconfig)}" $(GO) run ./hack/demo

.PHONY: dev
dev: deps ## The store as processes, without Kubernetes, until Ctrl-C
	@$(WITH_GO) $(GO) run ./hack/dev

##@ Build

.PHONY: images
images: ## Build the five images into _out/images
	@$(WITH_GO) $(GO) run ./hack/image

.PHONY: build
build: ## Compile every module
	@$(WITH_GO) for m in $(MODULES); do (cd $$m && $(GO) build ./...); done

.PHONY: generate
generate: ## Regenerate deep copies, the CRD, chart libraries, RBAC and golden renders
	@$(WITH_GO) $(GO) generate ./operator/api/... ./charts/...
	@$(WITH_GO) export KUBEBUILDER_ASSETS="$$($(CLUSTER) assets)"; cd operator && $(GO) test -count=1 ./internal/chart -update

.PHONY: verify
verify: generate ## Fail when generated files or go.mod differ from what is committed
	@$(WITH_GO) for m in $(MODULES) hack/kubernetes hack/kubernetes/addons hack/tools hack/bench/peers/caddy hack/bench/peers/traefik; do (cd $$m && GOWORK=off $(GO) mod tidy); done
	@git diff --exit-code -- . ':!go.work.sum' || { echo "verify: the files above differ: commit what 'make generate' and 'go mod tidy' made" >&2; exit 1; }

##@ Test

SUITES := lint unit integration race fuzz operator verify e2e

.PHONY: test
test: ## Everything to a verdict: lint, unit, integration, operator and charts, end to end
	@rm -rf $(TESTS) && mkdir -p $(TESTS)
	@$(WITH_GO) failed=""; for suite in $(SUITES); do \
	  echo; echo "=== $$suite"; began=$$SECONDS; \
	  $(MAKE) $$suite || failed="$$failed $$suite"; \
	  echo "=== $$suite took $$((SECONDS - began)) s"; \
	done; echo; $(GO) run ./hack/verdict --results $(TESTS) $$failed

.PHONY: lint
lint: tools ## Formatting, vet, staticcheck, gosec and the rest of .golangci.yml, kube-api-linter on operator/api
	@$(WITH_GO) for m in $(MODULES); do (cd $$m && GOWORK=off $(TOOL_DIR)/golangci-lint run -c "$(CURDIR)/.golangci.yml" ./...); done
	@$(WITH_GO) cd operator/api && GOWORK=off $(TOOL_DIR)/golangci-lint-kube-api-linter run -c .kube-api-linter.yml ./...

.PHONY: unit
unit: tools ## Tests that need no server, in seconds
	@$(WITH_GO) $(call gotest,unit,-short ./charts/... ./hack/... ./operator/... ./services/...)

.PHONY: integration
integration: tools deps ## Tests on a private MariaDB and RabbitMQ, started for them
	@$(WITH_GO) $(GO) run ./hack/testenv/cmd/with-servers $(call gotest,integration,./services/...)
	@$(WITH_GO) $(call gotest,faults,./hack/testenv/... ./hack/internal/local/... ./hack/contract/... ./hack/bench/... ./hack/fuzz/... ./hack/browser/...)

.PHONY: fuzz
fuzz: deps ## Every fuzz target, with real servers behind the services (FUZZ_SCALE=10 for ten times the inputs)
	@$(WITH_GO) $(GO) run ./hack/testenv/cmd/with-servers $(GO) run ./hack/fuzz --scale $(or $(FUZZ_SCALE),1) services/event services

.PHONY: race
race: tools deps ## The unit and integration suites of services and operator with the race detector
	@$(WITH_GO) $(GO) run ./hack/deps race
	@$(WITH_GO) export CGO_ENABLED=1 KUBEBUILDER_ASSETS="$$($(CLUSTER) assets)"; $(GO) run ./hack/testenv/cmd/with-servers $(call gotest,race,-race -timeout=30m ./services/... ./operator/...)

.PHONY: operator
operator: tools deps ## The operator and the charts on a real kube-apiserver, MariaDB and RabbitMQ
	@$(WITH_GO) export KUBEBUILDER_ASSETS="$$($(CLUSTER) assets)"; $(call gotest,operator,-timeout=20m ./operator/... ./operator/api/... ./charts/...)

.PHONY: e2e
e2e: tools up ## Through the gateway of a stack on the cluster
	@$(WITH_GO) export KUBECONFIG="$$($(CLUSTER) kubeconfig)" PATH="$$($(CLUSTER) assets):$$PATH"; $(call gotest,e2e,-timeout=20m ./hack/e2e/...)

##@ Measure

.PHONY: bench
bench: deps ## Orders and requests against what the machine can do, about 20 minutes (BENCH=--quick for two)
	@$(WITH_GO) $(GO) build -o $(TOOL_DIR)/bench ./hack/bench && exec $(TOOL_DIR)/bench $(BENCH)

##@ Set up

.PHONY: assets
assets: ## Print the folder with kube-apiserver, etcd, kubectl and helm, built if need be
	@$(WITH_GO) $(CLUSTER) assets

.PHONY: deps
deps: ## Install the Debian packages that the tests need (root; elsewhere it says which)
	@$(WITH_GO) $(GO) run ./hack/deps integration bench

.PHONY: tools
tools: $(TOOL_DIR)/golangci-lint $(TOOL_DIR)/golangci-lint-kube-api-linter $(TOOL_DIR)/gotestsum $(TOOL_DIR)/controller-gen ## Build linters and test runner from hack/tools

$(TOOL_DIR)/golangci-lint $(TOOL_DIR)/golangci-lint-kube-api-linter $(TOOL_DIR)/gotestsum $(TOOL_DIR)/controller-gen: hack/tools/go.mod hack/tools/go.sum
	@echo "building $(notdir $@)"
	@mkdir -p $(TOOL_DIR) && cd hack/tools && GOWORK=off $(GO) build -o $@ $$(GOWORK=off $(GO) list tool | grep '/$(notdir $@)$$') && touch $@

.PHONY: help
help: ## This list
	@awk 'BEGIN {FS = ":.*##"} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9_-]+:.*##/ {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
