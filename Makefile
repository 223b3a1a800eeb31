# make run    sample snapshots, the daily jobs, two example queries
# make test   format, lint, every test
# make examples, make release, make bench, make clean

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

# Python packages of the tests live here and nowhere else.
CACHE ?= $(CURDIR)/.cache
VENV = $(CACHE)/python
export GATEFOLD_TEST_PYTHON = $(VENV)/bin/python

.PHONY: run test build examples release bench fmt lint python clean

run: build $(SAMPLE)
	$(GATEFOLD) run --from $(FROM) --to $(UNTIL)
	$(GATEFOLD) query "$(USERS)"
	$(GATEFOLD) query "$(HOURS)"

build:
	$(CARGO) build

$(SAMPLE): | build
	$(GATEFOLD) generate --accounts $(ACCOUNTS) --days $(DAYS) --until $(UNTIL) --seed $(SEED)
	@rm -f lake/snapshots/.sample-*
	@# Another sample is another past: histories begin anew.
	rm -rf lake/tables lake/runs lake/leases lake/work
	@touch $@

test: fmt lint python
	$(CARGO) test --quiet
	$(CARGO) build --quiet
	$(GATEFOLD) check
	$(GATEFOLD) test

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

release:
	$(CARGO) build --release

bench:
	$(CARGO) bench --bench user_daily
	$(CARGO) bench --bench daily

clean:
	rm -rf lake examples/*/lake .cache
