# The extension module of examples/cpython, on every interpreter that is installed. Included by the Makefile.

.PHONY: cpython-check
cpython-check: all ## test examples/cpython on every python3 that is installed
	scripts/check-cpython

.PHONY: cpython-bench
cpython-bench: cpython-check ## the comparison with greenlet
	scripts/check-cpython --bench
