"""For an interpreter that is not supported: succeeds if the package says so and names those that are."""

try:
    import rctx_tasklet
except ImportError as error:
    assert "has been tested with CPython 3.9 to 3.13" in str(error), error
    print(error)
else:
    raise SystemExit(f"{rctx_tasklet} was not refused")
