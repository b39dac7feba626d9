# Other targets than the machine's own: cross/targets.tsv lists them. Included by the Makefile.

.PHONY: cross
cross: ## build target/<triple>/release/librctx.so and .a: make cross TARGET=<triple>
	@cross/build $(TARGET)

.PHONY: cross-check
cross-check: ## test every target of cross/targets.tsv, or TARGET=<triple>, under qemu-user
	@cross/check $(TARGET)
