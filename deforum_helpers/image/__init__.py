"""Operations on images: files, conversion, warps, color, noise, masks, adjustments."""
