"""Lists of images in the formats that people have."""
