"""`infer` on many machines: Ray Data hands out parts of the inputs, and what is finished is kept part by part."""
