package upkeep

// Chunk is how many rows a statement removes at most.
const Chunk = chunk
