# `make test` installs what the tests need from Debian where it runs as root, else names it.
VENV ?= .venv
PY := $(VENV)/bin/python
DEBIAN := ewf-tools sleuthkit e2fsprogs dosfstools mtools chromium fonts-noto-core iproute2 linux-libc-dev exfatprogs age poppler-utils softhsm2 squashfs-tools btrfs-progs f2fs-tools xfsprogs apfsprogs
COMMANDS := ewfacquire fls mke2fs mkfs.vfat mcopy chromium ip mkfs.exfat age pdfsig mksquashfs mkfs.btrfs sload.f2fs softhsm2-util

DEMO ?= demo-case

# Half as many again as cores: much of a test is waiting for the processes that it started.
WORKERS ?= $(shell echo $$(( $$(nproc) * 3 / 2 )))

# What `make bench` and `make growth` compare with and build images with.
BENCH_DEBIAN := sleuthkit ewf-tools hashdeep file libimage-exiftool-perl yara ntfs-3g mtools dosfstools e2fsprogs fdisk psmisc
BENCH_COMMANDS := fls ewfacquire hashdeep file exiftool yara mkntfs mcopy mkfs.vfat mke2fs sfdisk fuser
BENCH := build/bench

.PHONY: demo install test-tools test soak bench-tools bench growth exchange-costs wheel verify.pyz clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	python3 -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade pip
	$(PY) -m pip install --quiet -e '.[test]'
	touch $@

demo: install
	rm -rf $(DEMO)
	$(VENV)/bin/forensics process test_images/card.E01 --case $(DEMO) --no-input --by "the demonstration" --pictures 20 \
	  --rules test_images/demo.yar --hash-set bad:test_images/demo-known.txt --case-id DEMO-1 \
	  --exhibit-kind storage --exhibit-description "camera card" --exhibit-changes-made-to-original "none known"

test-tools:
	@missing=; for each in $(COMMANDS); do command -v $$each >/dev/null || PATH=$$PATH:/sbin:/usr/sbin command -v $$each >/dev/null || missing="$$missing $$each"; done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ]; then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(DEBIAN) >/dev/null; \
	  else echo "missing:$$missing; as root: apt-get install $(DEBIAN)" >&2; exit 1; fi; fi

# Every file of tests stays in one process, since its tests share what is dear to make; conftest.py says which begin first.
test: install test-tools
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

# The long form of the tests of faults, interruption and damage: some 1,700 runs in a round, every failure with its seed.
soak: install test-tools
	SOAK_ROUNDS=$(or $(SOAK_ROUNDS),1) FORENSICS_SEED=$(or $(FORENSICS_SEED),$(shell date +%s)) \
	$(VENV)/bin/pytest -n auto tests/soak/faults.py tests/soak/interruptions.py tests/soak/damages.py
	FORENSICS_FLIPS=$(or $(FORENSICS_FLIPS),100000000) FORENSICS_EXAMPLES=2000 FORENSICS_SEED=$(or $(FORENSICS_SEED),$(shell date +%s)) \
	FORENSICS_FILES=$(or $(FORENSICS_FILES),1000) \
	$(VENV)/bin/pytest -n auto tests/exchange/test_verify.py tests/exchange/test_package_fuzz.py tests/export/test_case_uco.py

bench-tools:
	@$(MAKE) --no-print-directory test-tools DEBIAN="$(BENCH_DEBIAN)" COMMANDS="$(BENCH_COMMANDS)"

bench: install bench-tools
	$(PY) tests/benchmarks/bench.py --work $(BENCH) $(if $(IMAGE),--image $(IMAGE)) --size $(or $(SIZE),2048) --rounds $(or $(ROUNDS),3) $(if $(filter 0,$(OTHERS)),--no-others)

growth: install bench-tools
	$(PY) tests/benchmarks/growth.py --work $(BENCH) --sizes $(or $(SIZES),512,2048,6144)

exchange-costs: install test-tools
	rm -rf $(BENCH)/exchange
	mkdir -p $(BENCH)
	$(PY) tests/benchmarks/exchange.py --work $(BENCH)/exchange --records $(or $(RECORDS),100000) --sent $(or $(SENT),1000)

wheel: install
	rm -rf build dist
	$(PY) -m build --wheel --outdir dist . >/dev/null
	rm -rf build/second && python3 -m venv build/second
	build/second/bin/python -m pip install --quiet dist/*.whl
	cd / && $(CURDIR)/build/second/bin/python -c "from forensics.discovery import shipped; print(shipped('plugins'), shipped('report_templates'))"
	rm -rf build/elsewhere && mkdir -p build/elsewhere && cd build/elsewhere && ../second/bin/forensics process $(CURDIR)/test_images/ext2.E01 --case demo

# The program for states that do not install us: standard library only, the same bytes from the same sources whatever the machine.
VERIFY ?= dist
verify.pyz:
	mkdir -p $(VERIFY) && rm -rf $(VERIFY)/verify && mkdir -p $(VERIFY)/verify/forensics_verify
	cp forensics/exchange/standalone/*.py $(VERIFY)/verify/forensics_verify/
	printf 'from forensics_verify.command import run\n\nrun()\n' > $(VERIFY)/verify/__main__.py
	chmod -R u=rwX,go=rX $(VERIFY)/verify
	find $(VERIFY)/verify -exec env TZ=UTC touch -d 2000-01-01T00:00:00Z {} +
	cd $(VERIFY) && TZ=UTC python3 -m zipapp verify -p '/usr/bin/env python3' -o verify.pyz && rm -rf verify && sha256sum verify.pyz

clean:
	rm -rf $(VENV) build dist *.egg-info
