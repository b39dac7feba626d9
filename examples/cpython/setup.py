"""Finds rctx: an installed one by pkg-config, or the one that `make` built in the tree around this directory."""

import pathlib
import subprocess
import sys

from setuptools import Extension, setup

TREE = pathlib.Path(__file__).resolve().parents[2]
ARCHIVE = TREE / "target" / "release" / "librctx.a"


def pkg_config(*options):
    try:
        found = subprocess.run(["pkg-config", *options, "rctx"], stdout=subprocess.PIPE, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.decode().split()


def rctx():
    if pkg_config("--exists") is not None:
        directory = pkg_config("--variable=libdir")[0]
        return {
            "extra_compile_args": pkg_config("--cflags"),
            "extra_link_args": [*pkg_config("--libs"), f"-Wl,-rpath,{directory}"],
        }
    if ARCHIVE.exists():
        return {
            "include_dirs": [str(TREE / "include")],
            # The object keeps the library's names to itself.
            "extra_link_args": [str(ARCHIVE), f"-Wl,--exclude-libs,{ARCHIVE.name}"],
        }
    sys.exit("rctx is not installed (pkg-config does not find it), and not built in this tree: run `make` in its root")


arguments = rctx()
arguments["extra_compile_args"] = ["-std=gnu11", "-Wextra", *arguments.get("extra_compile_args", [])]
setup(
    ext_modules=[
        Extension(
            "rctx_tasklet._tasklet",
            ["src/rctx_tasklet/_tasklet.c"],
            depends=["src/rctx_tasklet/pystate.h"],
            **arguments,
        )
    ]
)
