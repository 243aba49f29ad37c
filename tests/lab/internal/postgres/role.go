package postgres

// step is what an instance does next about its role.
type step int

const (
	serve step = iota // as what it is
	wait              // for the old primary to be gone, serving as a standby
	promote
	announce // that it is the primary
	stop     // until the Cluster has another primary
	rewind   // and come back as that one's standby
)

// nextStep follows reconcilePrimary, reconcileOldPrimary and
// verifyPgDataCoherenceForPrimary of upstream's internal/management/controller.
// receiving tells whether a running primary sends WAL to this instance.
func nextStep(name string, primary, receiving bool, status *cluster) step {
	if status.targetPrimary == name {
		switch {
		case !primary && receiving && status.currentPrimary != name:
			// What the old primary still sends must not be lost.
			return wait
		case !primary:
			return promote
		case status.currentPrimary != name:
			return announce
		}
		return serve
	}
	switch {
	case !primary:
		return serve
	case status.currentPrimary == status.targetPrimary && status.targetPrimary != "":
		return rewind
	}
	return stop
}

// promoted starts a new timeline at the next WAL file, as PostgreSQL does.
func (d *disk) promoted() {
	d.primary = true
	d.timeline++
	d.lsn = (d.lsn/segment+1)*segment + 0x60
}

// follow makes a standby equal to its primary: nobody writes, so there is no lag.
func (d *disk) follow(primary *disk) {
	d.primary, d.timeline, d.lsn = false, primary.timeline, primary.lsn
}
