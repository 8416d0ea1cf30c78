package relay

// Queued is how many submissions wait for whoever commits.
func (r *Recorder) Queued() int {
	r.group.mu.Lock()
	defer r.group.mu.Unlock()
	return len(r.group.queue)
}
