"""The main job, once, on real parts: buy, be provisioned, back up three times, restore, compare byte for byte."""
