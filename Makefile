# `make help` lists the targets. The two main ones are `make up` (a running store) and
# `make test` (the whole test suite).
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

# The Go toolchain: the one on PATH, or one that hack/go.sh fetches. It is searched once,
# when a target first needs it.
GO = $(eval GO := $(shell sh hack/go.sh))$(or $(GO),$(error no Go toolchain: see the message above))
# Programs that run `go` use the same one.
# The address of the gateway: GATEWAY_URL, or that of the cluster (PORT= chooses another port).
AT_GATEWAY = GATEWAY_URL="$${GATEWAY_URL:-$$($(CLUSTER) url)}"
WITH_GO = export PATH="$(dir $(GO)):$$PATH";
export GOFLAGS := -buildvcs=false

CLUSTER = $(GO) run ./hack/cluster
MODULES := services operator charts hack hack/bench hack/cluster hack/testenv
# Tools of hack/tools are built again when their versions change.
TOOL_DIR = $(CURDIR)/_out/tools
TESTS = $(CURDIR)/_out/tests
# $(call gotest,NAME,FLAGS AND PACKAGES) runs tests and stores their results. Links take a good
# part of the time, and are shorter without debug information. A third argument, cached, leaves out
# packages that have passed and not changed since, unless COUNT=-count=1.
gotest = $(shell mkdir -p $(TESTS))$(TOOL_DIR)/gotestsum --format pkgname-and-test-fails --format-hide-empty-pkg --hide-summary=skipped --jsonfile $(TESTS)/$(1).json -- $(if $(filter cached,$(3)),$(COUNT),-count=1) "-ldflags=-s -w" $(2)

##@ Run

.PHONY: up
up: ## Start a store: cluster, images, operator, sample stack, demo
	@$(WITH_GO) $(CLUSTER) up
	@$(MAKE) reload
	@$(MAKE) demo
	@$(MAKE) next

# ONLY="stock sales" limits `images` and `reload` to these.
ONLY_FLAGS = $(addprefix --only=,$(ONLY))

.PHONY: reload
reload: images ## Build, load and roll out what changed on a running cluster (ONLY="stock sales": only these)
	@$(WITH_GO) $(GO) run ./hack/install $(ONLY_FLAGS)

.PHONY: next
next:
	@echo "The store is available at $$($(CLUSTER) url). Next:"
	@echo
	@echo "  eval \"\$$(make -s env)\"   # KUBECONFIG, GATEWAY_URL, and PATH with kubectl and helm"
	@echo "  kubectl -n shop get secret demo-manager -o jsonpath='{.data.password}' | base64 -d   # the manager's password"
	@echo "  curl -s $$($(CLUSTER) url)/products"
	@echo "  kubectl -n shop get estack,pods"
	@echo "  make demo"

.PHONY: down
down: ## Remove everything that `up` created, except caches
	@$(WITH_GO) $(CLUSTER) down

.PHONY: status
status: ## Show the processes, the node and the pods of the cluster
	@$(WITH_GO) $(CLUSTER) status

.PHONY: logs
logs: ## Show the logs of the cluster's components (COMPONENT=kubelet for one)
	@$(WITH_GO) $(CLUSTER) logs $(COMPONENT)

.PHONY: kubeconfig
kubeconfig: ## Print the path of the kubeconfig
	@$(WITH_GO) $(CLUSTER) kubeconfig

.PHONY: env
env: ## Print the variables of the cluster, for eval "$(make -s env)"
	@$(WITH_GO) echo "export KUBECONFIG='$$($(CLUSTER) kubeconfig)' GATEWAY_URL='$$($(CLUSTER) url)' PATH='$$($(CLUSTER) clients)':\"\$$PATH\""

.PHONY: demo
demo: ## Place orders of every kind and check their outcomes
	@$(WITH_GO) KUBECONFIG="$${KUBECONFIG:-$$($(CLUSTER) kubeconfig)}" $(AT_GATEWAY) $(GO) run ./hack/demo

.PHONY: dead-letters
dead-letters: ## List the newest dead letters of the store
	@$(WITH_GO) KUBECONFIG="$${KUBECONFIG:-$$($(CLUSTER) kubeconfig)}" $(AT_GATEWAY) $(GO) run ./hack/deadletters

.PHONY: reset
reset: ## Delete the sample stack with all its data, and install it again
	@$(ON_CLUSTER) kubectl --namespace shop get ecommercestack demo --ignore-not-found --output name | while read -r stack; do \
	  kubectl --namespace shop patch "$$stack" --type=merge --patch '{"spec":{"deletionPolicy":"Delete"}}'; \
	  kubectl --namespace shop delete "$$stack"; \
	done
	@$(MAKE) reload

.PHONY: load
load: ## Send the requests of shoppers to the store (LOAD="--rate 80 --duration 2m")
	@$(WITH_GO) KUBECONFIG="$${KUBECONFIG:-$$($(CLUSTER) kubeconfig)}" $(AT_GATEWAY) $(GO) run ./hack/load $(LOAD)

.PHONY: dev
dev: deps-dev ## Run the store as processes, without Kubernetes, until Ctrl-C (PORT= for another port)
	@$(WITH_GO) $(GO) build -o $(TOOL_DIR)/dev ./hack/dev && exec $(TOOL_DIR)/dev

.PHONY: dev-reset
dev-reset: ## Delete the data and accounts of `make dev`
	@$(WITH_GO) $(GO) run ./hack/dev reset

.PHONY: observe
observe: ## Start Prometheus, Alertmanager and Jaeger for the store of `up`, with rules and dashboards (QUICK=1: without Jaeger)
	@$(WITH_GO) $(GO) run ./hack/observe up $(if $(QUICK),--no-tracing)

.PHONY: observe-down
observe-down: ## Remove everything that `observe` created
	@$(WITH_GO) $(GO) run ./hack/observe down

##@ Build

.PHONY: images
images: ## Build the six images into _out/images (ONLY=stock: only this one)
	@$(WITH_GO) $(GO) run ./hack/image $(ONLY_FLAGS)

.PHONY: build
build: ## Compile every module
	@$(WITH_GO) for m in $(MODULES); do (cd $$m && $(GO) build ./...); done

.PHONY: generate
generate: ## Regenerate deep copies, the CRD, chart schemas, the list of events, RBAC and golden renders
	@$(WITH_GO) $(GO) generate ./operator/api/... ./charts/... ./services/...
	@$(WITH_GO) export KUBEBUILDER_ASSETS="$${KUBEBUILDER_ASSETS:-$$($(CLUSTER) assets)}"; cd operator && $(GO) test -count=1 ./internal/chart -update

.PHONY: tidy
tidy: ## Run `go mod tidy` in every module
	@$(WITH_GO) for m in $(MODULES) hack/cluster/kubernetes hack/contract/clients/golang hack/tools; do (cd $$m && GOWORK=off $(GO) mod tidy); done

.PHONY: verify
verify: ## Fail if generated files or go.mod are out of date, committed or not; changes nothing
	@$(WITH_GO) export KUBEBUILDER_ASSETS="$$($(CLUSTER) assets)"; $(GO) run ./hack/ci verify $(MAKE) generate tidy

##@ Test

# The tests of `integration` and `operator` run as part of `race` and `system`.
SUITES := lint unit race system chaos external fuzz verify e2e

.PHONY: test
test: ## Run the whole test suite: lint, unit, race, system, chaos, external, fuzz, verify, e2e
	@rm -rf $(TESTS) && mkdir -p $(TESTS)
	@$(WITH_GO) failed=""; for suite in $(SUITES); do \
	  echo; echo "=== $$suite"; began=$$SECONDS; \
	  $(MAKE) $$suite COUNT=-count=1 || failed="$$failed $$suite"; \
	  echo "=== $$suite took $$((SECONDS - began)) s"; \
	done; echo; $(GO) run ./hack/ci results --results $(TESTS) $$failed

.PHONY: lint
lint: tools ## Run the linters: .golangci.yml, kube-api-linter on operator/api, actionlint on the workflows
	@$(WITH_GO) for m in $(MODULES); do (cd $$m && GOWORK=off $(TOOL_DIR)/golangci-lint run --allow-parallel-runners -c "$(CURDIR)/.golangci.yml" ./...); done
	@$(WITH_GO) cd operator/api && GOWORK=off $(TOOL_DIR)/golangci-lint-kube-api-linter run --allow-parallel-runners -c .kube-api-linter.yml ./...
	@$(TOOL_DIR)/actionlint

.PHONY: unit
unit: $(TOOL_DIR)/gotestsum ## Run the tests that need no server
	@$(WITH_GO) $(call gotest,unit,-short ./hack/...) # They run other programs, of which the cache of go test knows nothing.
	@$(WITH_GO) $(call gotest,unit-cached,-short ./charts/... ./operator/... ./services/...,cached)

.PHONY: integration
integration: $(TOOL_DIR)/gotestsum deps-integration ## Run the tests of services that need MariaDB and RabbitMQ, on servers of their own, and `system`
	@$(WITH_GO) $(GO) run ./hack/testenv/cmd/with-servers $(call gotest,integration,./services/...)
	@$(MAKE) system

# The attacks on the gateway limit its memory, of which the race detector needs too much.
.PHONY: system
system: $(TOOL_DIR)/gotestsum deps-system ## Run the tests that start the whole store as processes, with faults, and attacks on the gateway
	@$(WITH_GO) $(call gotest,system,-timeout=20m ./hack/testenv/... ./hack/internal/local/... ./hack/contract ./hack/dev/... ./hack/ci/... ./hack/chaos/... ./services/gateway)

# The rounds of SEED, or five minutes of those from 1 on.
CHAOS_FLAGS = $(if $(SEED),--seed $(SEED) --rounds 1,--seed 1 --duration 5m) --logs $(CURDIR)/_out/chaos --results $(TESTS)/chaos.json

.PHONY: chaos
chaos: deps-chaos ## Run the store under load and faults for five minutes, and check its promises (SEED=42: one round, CHAOS="--duration 1h")
	@mkdir -p $(TESTS)
	@$(WITH_GO) $(GO) build -o $(TOOL_DIR)/chaos ./hack/chaos && exec $(TOOL_DIR)/chaos $(CHAOS_FLAGS) $(CHAOS)

.PHONY: chaos-mutants
chaos-mutants: deps-chaos ## Put defects into the sources of `make chaos`, one after the other, and check that each is found (about 20 minutes)
	@$(WITH_GO) $(GO) build -o $(TOOL_DIR)/chaos ./hack/chaos && exec $(TOOL_DIR)/chaos --mutants

.PHONY: external
external: $(TOOL_DIR)/gotestsum deps-external ## Run the tests that need a browser, npm, promtool, or the proxies of the benchmarks
	@$(WITH_GO) $(GO) run ./hack/ci clients
	@$(WITH_GO) $(call gotest,external,-timeout=20m ./hack/contract/browser/... ./hack/contract/clients/... ./hack/bench/... ./hack/dashboards/...)

.PHONY: fuzz
fuzz: deps-fuzz ## Run every fuzz target, with real servers (FUZZ_SCALE=10 for ten times the inputs)
	@$(WITH_GO) $(GO) run ./hack/testenv/cmd/with-servers $(GO) run ./hack/ci fuzz --scale $(or $(FUZZ_SCALE),1) services

.PHONY: race
race: $(TOOL_DIR)/gotestsum deps-race ## Run the tests of services, operator and charts with the race detector, on real servers
	@$(WITH_GO) export CGO_ENABLED=1 KUBEBUILDER_ASSETS="$$($(CLUSTER) assets)"; $(GO) run ./hack/testenv/cmd/with-servers $(call gotest,race,-race -timeout=30m ./services/... ./operator/... ./charts/...)

.PHONY: operator
operator: $(TOOL_DIR)/gotestsum deps-operator ## Test the operator and the charts on a real kube-apiserver, MariaDB and RabbitMQ
	@$(WITH_GO) export KUBEBUILDER_ASSETS="$$($(CLUSTER) assets)"; $(call gotest,operator,-timeout=20m ./operator/... ./charts/...)

.PHONY: e2e
e2e: $(TOOL_DIR)/gotestsum observe-images ## Test a stack on the cluster, through its gateway, with alerts and dashboards
	@$(ON_CLUSTER) $(call gotest,e2e,-timeout=25m ./hack/e2e/...)

# The store, and the images of Prometheus and Alertmanager, which take minutes to build once.
.PHONY: observe-images
observe-images: up
	@$(WITH_GO) $(GO) run ./hack/observe images --no-tracing

ON_CLUSTER = $(WITH_GO) export KUBECONFIG="$$($(CLUSTER) kubeconfig)" PATH="$$($(CLUSTER) clients):$$PATH" $(AT_GATEWAY);

.PHONY: dashboards-test
dashboards-test: $(TOOL_DIR)/gotestsum deps-dashboards-test observe-images ## Test the dashboards: their definition, their metrics, and their queries on the cluster under load and faults
	@$(WITH_GO) $(call gotest,dashboards,./hack/dashboards/...)
	@$(WITH_GO) $(call gotest,dashboards-metrics,-run TestDashboardsShowExportedMetrics ./hack/contract/...)
	@$(ON_CLUSTER) $(call gotest,dashboards-queries,-timeout=15m -run 'TestFaultsRaiseAlerts|TestPanelsShowData' ./hack/e2e/...)

# The packages with statements of the database.
ON_DATABASES = ./services/auth/... ./services/sales/... ./services/stock/... ./services/internal/database/... ./services/internal/outbox/...

.PHONY: nightly
nightly: $(TOOL_DIR)/gotestsum deps-nightly up ## Run the tests that take too long for `make test`: upgrade and rotation under load, the services on MySQL and on clusters, chaos on clusters of the database, NetworkPolicies, traces in Jaeger, pictures of the dashboards
	@$(WITH_GO) $(GO) run ./hack/observe images
	@$(ON_CLUSTER) $(call gotest,nightly,-tags nightly -timeout=90m -run 'TestRotationFailsNoRequest|TestOrdersSurviveTheLossOfABrokerNode|TestDeletedAdministratorsAreReplaced|TestOnlyListedFlowsConnect|TestSecretsAppearNowhere|TestWrongImageOfDatabaseIsUndoneByReverting|TestStatefulSetIsRecreatedAroundItsPods|TestVolumeGrowsThroughTheStack|TestOrderIsOneTrace|TestDashboardsAreDrawn' ./hack/e2e/...)
	@$(WITH_GO) export MYSQLD="$$($(CLUSTER) mysqld)"; $(GO) run ./hack/testenv/cmd/with-servers $(call gotest,nightly-mysql,$(ON_DATABASES))
	@$(WITH_GO) export MYSQLD="$$($(CLUSTER) mysqld)"; $(call gotest,nightly-clusters,-tags nightly -timeout=30m -run 'Galera|Balancer|Group|Isolated|Network' ./hack/testenv/... ./hack/chaos/...)
	@$(WITH_GO) DATABASE_CLUSTER=galera $(GO) run ./hack/testenv/cmd/with-servers $(call gotest,nightly-galera,-timeout=30m $(ON_DATABASES))
	@$(WITH_GO) export MYSQLD="$$($(CLUSTER) mysqld)"; DATABASE_CLUSTER=group $(GO) run ./hack/testenv/cmd/with-servers $(call gotest,nightly-group,-timeout=30m $(ON_DATABASES))
	@$(WITH_GO) $(GO) build -o $(TOOL_DIR)/chaos ./hack/chaos; for database in galera galera-all group; do \
	  $(TOOL_DIR)/chaos --database $$database --seed 1 --duration 5m --logs $(CURDIR)/_out/chaos --results $(TESTS)/chaos-$$database.json || exit 1; done
	@$(WITH_GO) $(call gotest,nightly-upgrade,-tags nightly -timeout=15m -run TestUpgradeUnderLoad ./hack/internal/local/...)
	@$(WITH_GO) $(call gotest,nightly-pictures,-tags nightly -timeout=15m -run TestDashboardsAreDrawn ./hack/dashboards/...)

.PHONY: dashboards-pictures
dashboards-pictures: ## Draw the dashboards with the data of `observe` into docs/observability (PICTURES="--range 15m")
	@$(ON_CLUSTER) kubectl -n observability port-forward svc/prometheus 19090:9090 >/dev/null & forward=$$!; trap "kill $$forward" EXIT; \
	  $(GO) run ./hack/dashboards render --prometheus http://localhost:19090 --out docs/observability $(PICTURES)

##@ Measure

.PHONY: bench
bench: deps-bench ## Benchmark against hardware and peer baselines, about 20 minutes (BENCH=--quick for two)
	@$(WITH_GO) $(GO) build -o $(TOOL_DIR)/bench ./hack/bench && exec $(TOOL_DIR)/bench $(BENCH)

##@ Set up

.PHONY: assets
assets: ## Print the folder with kube-apiserver, etcd, kubectl and helm; build them if missing
	@$(WITH_GO) $(CLUSTER) assets

.PHONY: deps
deps: ## Install the Debian packages of all targets (root on Debian; else print their names)
	@$(WITH_GO) $(GO) run ./hack/ci packages

# The packages of one target, such as deps-integration.
deps-%:
	@$(WITH_GO) $(GO) run ./hack/ci packages $*

.PHONY: tools
TOOLS := $(addprefix $(TOOL_DIR)/,golangci-lint golangci-lint-kube-api-linter gotestsum controller-gen actionlint)
tools: $(TOOLS) ## Build linters and test runner from hack/tools

$(TOOLS): hack/tools/go.mod hack/tools/go.sum
	@$(WITH_GO) $(GO) run ./hack/ci tool $@

.PHONY: help
help: ## This list
	@awk 'BEGIN {FS = ":.*##"} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9_-]+:.*##/ {printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
