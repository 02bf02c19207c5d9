/* The vendor's headers want a file of this name. */
