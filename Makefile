# make run        sample snapshots, the daily jobs, two example queries
# make run-cloud  the same, published into a BigQuery on loopback and asked there with Google's client
# make test       format, lint, every test
# make check      the project: its jobs, snapshots and schedules, and whether what is rendered from them is up to date
# make cloud      a Cloud Storage and a BigQuery on loopback, kept in .cache/cloud, until Ctrl-C
# make cluster-test  the same models on a cluster of this machine: builds it, which takes minutes the first time
# make bench      three jobs beside other engines: make bench ACCOUNTS="1000000 5000000" ROUNDS=3
# make bench-check  instructions of the hot functions, against those that the repository keeps; needs valgrind
# make examples, make release, make clean

CARGO ?= cargo
# Dependencies are built once and shared between checkouts.
export CARGO_TARGET_DIR ?= $(CURDIR)/target
GATEFOLD = $(CARGO_TARGET_DIR)/debug/gatefold
# The key of the sample data; a real project keeps its own outside of the repository.
export GATEFOLD_PSEUDONYM_KEY ?= gatefold-test-key

# The sample of docs/domain.md; the quick build takes about half a minute for it.
ACCOUNTS ?= 1000
DAYS ?= 2
UNTIL ?= 2026-11-20
FROM = $(shell python3 -c 'import datetime as d; print(d.date.fromisoformat("$(UNTIL)") - d.timedelta($(DAYS) - 1))')
SEED ?= 1
SAMPLE = lake/snapshots/.sample-$(ACCOUNTS)-$(DAYS)-$(UNTIL)-$(SEED)
USERS = SELECT lifecycle_state, tier, count(*) AS users, count(*) FILTER (WHERE is_paid) AS paid \
	FROM users.user_daily WHERE snapshot_date = DATE '$(UNTIL)' \
	GROUP BY lifecycle_state, tier ORDER BY users DESC, lifecycle_state LIMIT 5
HOURS = SELECT product_id, role, v_int AS audiobook_hours FROM value_proposition.product_feature_history \
	WHERE feature_id = 'audiobook_hours' AND market = 'NO' AND is_current ORDER BY product_id, role

# BigQuery drops days that are older than a table keeps them, and the views look back a week: this sample ends yesterday.
CLOUD_UNTIL ?= $(shell python3 -c 'import datetime as d; print(d.datetime.now(d.timezone.utc).date() - d.timedelta(1))')
CLOUD_FROM = $(shell python3 -c 'import datetime as d; print(d.date.fromisoformat("$(CLOUD_UNTIL)") - d.timedelta($(DAYS) - 1))')
CLOUD_SAMPLE = lake-cloud/snapshots/.sample-$(ACCOUNTS)-$(DAYS)-$(CLOUD_UNTIL)-$(SEED)
CLOUD_USERS = SELECT lifecycle_state, tier, COUNT(*) AS users, COUNTIF(is_paid) AS paid \
	FROM users.user_daily WHERE snapshot_date = '$(CLOUD_UNTIL)' \
	GROUP BY lifecycle_state, tier ORDER BY users DESC, lifecycle_state LIMIT 5
CLOUD_FEATURES = SELECT * FROM value_proposition.product_feature_matrix ORDER BY feature_id

# Python packages of the tests live here and nowhere else.
CACHE ?= $(CURDIR)/.cache
VENV = $(CACHE)/python
export GATEFOLD_TEST_PYTHON = $(VENV)/bin/python

# The loopback cloud needs another DuckDB than the readers of the lake.
STORAGE_PORT ?= 4443
BIGQUERY_PORT ?= 9050
CLOUD_VENV = $(CACHE)/cloud-python
export GATEFOLD_CLOUD_PYTHON = $(CLOUD_VENV)/bin/python

# Readers of what is exported; each holds back the packages of the others.
PEERS_DBT = $(CACHE)/peers-dbt
PEERS_CONTRACTS = $(CACHE)/peers-contracts
export GATEFOLD_PEERS_DBT_PYTHON = $(PEERS_DBT)/bin/python
export GATEFOLD_PEERS_CONTRACTS_PYTHON = $(PEERS_CONTRACTS)/bin/python

# The engines that the bench runs beside gatefold; Spark needs a Java of its own.
BENCH_VENV = $(CACHE)/bench
export GATEFOLD_PEERS_BENCH_PYTHON = $(BENCH_VENV)/bin/python

# A whole Airflow, which runs what is rendered for it.
AIRFLOW_VENV = $(CACHE)/airflow
export GATEFOLD_AIRFLOW_PYTHON = $(AIRFLOW_VENV)/bin/python

.PHONY: run run-cloud run-cloud-jobs test check build examples release bench bench-check fmt lint python peers cloud cloud-python cloud-test airflow airflow-test cluster-test clean

run: build $(SAMPLE)
	$(GATEFOLD) run --from $(FROM) --to $(UNTIL)
	$(GATEFOLD) query "$(USERS)"
	$(GATEFOLD) query "$(HOURS)"

# The cloud runs as long as the jobs and the queries, or longer if it ran before.
run-cloud: build cloud-python $(CLOUD_SAMPLE)
	cd tests && $(GATEFOLD_CLOUD_PYTHON) -m cloud.alongside --root $(CACHE)/cloud -- $(MAKE) --no-print-directory -C .. run-cloud-jobs \
		CLOUD_UNTIL=$(CLOUD_UNTIL)

run-cloud-jobs:
	$(GATEFOLD) run --env cloud --from $(CLOUD_FROM) --to $(CLOUD_UNTIL)
	@cd tests && $(GATEFOLD_CLOUD_PYTHON) -m cloud.query "$(CLOUD_USERS)"
	@cd tests && $(GATEFOLD_CLOUD_PYTHON) -m cloud.query "$(CLOUD_FEATURES)"

build:
	$(CARGO) build

$(SAMPLE): | build
	$(GATEFOLD) generate --accounts $(ACCOUNTS) --days $(DAYS) --until $(UNTIL) --seed $(SEED)
	@rm -f lake/snapshots/.sample-*
	@# Another sample is another past: histories begin anew.
	rm -rf lake/tables lake/runs lake/leases lake/alerts lake/work
	@touch $@

$(CLOUD_SAMPLE): | build
	$(GATEFOLD) generate --env cloud --accounts $(ACCOUNTS) --days $(DAYS) --until $(CLOUD_UNTIL) --seed $(SEED)
	@rm -f lake-cloud/snapshots/.sample-*
	rm -rf lake-cloud/tables lake-cloud/runs lake-cloud/leases lake-cloud/receipts lake-cloud/alerts lake-cloud/work
	@touch $@

# A thread of a test has a quarter of the stack that the program gives to its own, and futures of the quick build are large.
test: export RUST_MIN_STACK = 8388608
test: fmt lint python peers cloud-test airflow-test
	$(CARGO) test --quiet
	$(MAKE) --no-print-directory check
	$(GATEFOLD) test

check:
	$(CARGO) build --quiet
	$(GATEFOLD) check

# The public data sets of the examples, in the folders that their READMEs name; nothing is downloaded.
REAL_DATA ?= $(or $(GATEFOLD_REAL_DATA),../shared/real)
TELCO_DAY = examples/telco/lake/snapshots/telco_customer/snapshot_date=2020-06-25
PRICE_DAY = examples/catalog/lake/snapshots/catalog_price/snapshot_date=2026-08-20
CURRENCY_DAY = examples/catalog/lake/snapshots/currency/snapshot_date=2026-08-20

examples: build
	@test -d $(REAL_DATA) || { echo "no data in $(REAL_DATA); set REAL_DATA"; exit 1; }
	mkdir -p $(TELCO_DAY) $(PRICE_DAY) $(CURRENCY_DAY)
	cp $(REAL_DATA)/ibm_telco_basic/Telco-Customer-Churn.csv $(TELCO_DAY)/
	cp $(REAL_DATA)/killbill_catalogs/catalog_prices_flat.csv $(PRICE_DAY)/
	cp $(REAL_DATA)/iso_reference/currency-codes-all.csv $(CURRENCY_DAY)/
	$(GATEFOLD) run --project examples/telco
	$(GATEFOLD) run --project examples/catalog
	for day in $$(python3 examples/killbill/convert.py $(REAL_DATA)/killbill_catalogs examples/killbill/lake/snapshots); do \
		$(GATEFOLD) run --project examples/killbill --date $$day || exit; done

fmt:
	$(CARGO) fmt --check

lint:
	$(CARGO) clippy --quiet --all-targets -- --deny warnings

python: $(VENV)/.ready

$(VENV)/.ready: tests/requirements.txt
	python3 -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --requirement tests/requirements.txt
	@touch $@

peers: $(PEERS_DBT)/.ready $(PEERS_CONTRACTS)/.ready

$(PEERS_DBT)/.ready: tests/peers/requirements.txt
$(PEERS_CONTRACTS)/.ready: tests/peers/requirements-contracts.txt

# An older pip takes dbt's parser for one that must be built, with tools that it would download.
$(PEERS_DBT)/.ready $(PEERS_CONTRACTS)/.ready:
	python3 -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --upgrade pip
	$(@D)/bin/python -m pip install --quiet --only-binary=:all: --requirement $<
	@touch $@

cloud: cloud-python
	cd tests && $(GATEFOLD_CLOUD_PYTHON) -m cloud --root $(CACHE)/cloud --storage-port $(STORAGE_PORT) --bigquery-port $(BIGQUERY_PORT)

cloud-test: cloud-python
	$(GATEFOLD_CLOUD_PYTHON) -m pytest --quiet tests/cloud

cloud-python: $(CLOUD_VENV)/.ready

$(CLOUD_VENV)/.ready: tests/cloud/requirements.txt
	python3 -m venv $(CLOUD_VENV)
	$(CLOUD_VENV)/bin/python -m pip install --quiet --requirement tests/cloud/requirements.txt
	@touch $@

airflow: $(AIRFLOW_VENV)/.ready

$(AIRFLOW_VENV)/.ready: tests/airflow/requirements.txt
	python3 -m venv $(AIRFLOW_VENV)
	$(AIRFLOW_VENV)/bin/python -m pip install --quiet --upgrade pip
	$(AIRFLOW_VENV)/bin/python -m pip install --quiet --only-binary=:all: --requirement tests/airflow/requirements.txt
	@touch $@

airflow-test: airflow build
	GATEFOLD=$(GATEFOLD) $(GATEFOLD_AIRFLOW_PYTHON) -B -m pytest --quiet tests/airflow

# Not of `make test`: with the cluster's crates every dependency above DataFusion is built a second time.
cluster-test: export RUST_MIN_STACK = 8388608
cluster-test:
	$(CARGO) clippy --quiet --features cluster --all-targets -- --deny warnings
	$(CARGO) test --quiet --features cluster cluster::

release:
	$(CARGO) build --release

# Three jobs in gatefold and in other engines, on the same files and with the same rows: writes docs/performance.md. Of each
# sample about 250 bytes an account stay in the target folder, and while it runs four times that.
BENCH_ACCOUNTS = $(if $(filter command line environment,$(origin ACCOUNTS)),$(ACCOUNTS),1000000)
ROUNDS ?= 3
BENCH_BUCKETS ?= 0 16
BENCH_JOBS ?= user_daily user_entitlement_history feature_cap_daily
BENCH_WAYS ?= floor gatefold duckdb polars pyspark

# Instructions of the hot functions, against those that the repository keeps.
bench-check:
	$(CARGO) bench --bench hot

bench: $(BENCH_VENV)/.ready
	$(CARGO) bench --bench peers -- --rounds $(ROUNDS) $(BENCH_ACCOUNTS:%=--accounts %) $(BENCH_BUCKETS:%=--buckets %) $(BENCH_JOBS:%=--job %) \
		$(BENCH_WAYS:%=--way %) --write $(CURDIR)/docs/performance.md

$(BENCH_VENV)/.ready: benches/peers/requirements.txt
	python3 -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --requirement $<
	@touch $@

clean:
	rm -rf lake lake-cloud examples/*/lake .cache
