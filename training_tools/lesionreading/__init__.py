"""Reading lesions in synthetic images: seen, missed or invented, by a stated rule. Making the images is left out."""
