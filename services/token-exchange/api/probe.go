package api

// OtherSecret is a key with k's ID and another secret: its form and checksum are
// right, and only the stored hash tells that it is wrong. It is for probes.
func (k Key) OtherSecret() Key {
	k.secret = random(secretLength)
	return k
}
