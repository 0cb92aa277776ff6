"""Models that timm lacks, registered in timm by importing their file."""
