package revocations

// SetPage makes the pages of sweeps small. Call it before Run.
func (p *Projector) SetPage(rows int) { p.page = rows }
