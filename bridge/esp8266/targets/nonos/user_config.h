/* The vendor's headers include a file with this name. */
