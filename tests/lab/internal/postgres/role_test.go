package postgres

import "testing"

func TestNextStep(t *testing.T) {
	for _, test := range []struct {
		name               string
		target, current    string
		primary, receiving bool
		want               step
	}{
		{"first start", "me", "", true, false, announce},
		{"primary at work", "me", "me", true, false, serve},
		{"standby at work", "other", "other", false, true, serve},
		{"chosen while the old primary still sends", "me", "other", false, true, wait},
		{"chosen", "me", "other", false, false, promote},
		{"promoted, not yet announced", "me", "other", true, false, announce},
		{"former primary during a switchover", "other", "me", true, false, stop},
		{"failover announced", "pending", "me", true, false, stop},
		{"former primary afterwards", "other", "other", true, false, rewind},
		{"primary of a Cluster without status", "", "", true, false, stop},
	} {
		got := nextStep("me", test.primary, test.receiving, &cluster{targetPrimary: test.target, currentPrimary: test.current})
		if got != test.want {
			t.Errorf("%s: %d, not %d", test.name, got, test.want)
		}
	}
}

func TestFailover(t *testing.T) {
	kind, all := trio(t)
	seen := &cluster{targetPrimary: "db-2", currentPrimary: "db-1"}
	if next := all[1].turn(seen); next != wait || all[1].disk.primary {
		t.Fatalf("promoted beside a running primary: %d", next)
	}
	if next := all[0].turn(seen); next != stop {
		t.Fatalf("the old primary goes on: %d", next)
	}
	all[0].serving = false
	if next := all[1].turn(seen); next != promote || !all[1].disk.primary || all[1].disk.timeline != 2 {
		t.Fatalf("not promoted: %d %+v", next, all[1].disk)
	}
	seen = &cluster{targetPrimary: "db-2", currentPrimary: "db-2"}
	for _, in := range []*instance{all[0], all[2]} {
		in.turn(seen)
		if *in.disk != (disk{all[0].disk.systemID, 2, all[1].disk.lsn, false}) {
			t.Errorf("%s does not follow: %+v", in.pod.Name, in.disk)
		}
	}
	// A pod that is made again finds the data of its claim.
	if kind.mount("uid-db-2", all[1], seen) != all[1].disk {
		t.Error("the claim's data is gone")
	}
}
