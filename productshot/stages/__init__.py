"""Stages: one function over many items each; records in, one outcome per item (record or refusal) out.

A stage finds each item's marker first and works only on what is missing, so it opens a model only when there is work
for it. One bad item becomes a refusal and never stops its neighbours; a store or model that fails stops the stage.
"""
