"""What towers share: products with integers, the transformer of autoglm_phone's eyes and ears, and their measure."""
