package postgres

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
)

// managerVersion is that of the operator that the lab runs (components/cnpg/go.mod);
// only `kubectl cnpg status` shows it.
const managerVersion = "1.30.0"

// status is upstream's PostgresqlStatus (pkg/postgres/status.go), without what is
// false or empty in an instance that is well.
type status struct {
	CurrentLSN          string            `json:"currentLsn,omitempty"`
	ReceivedLSN         string            `json:"receivedLsn,omitempty"`
	ReplayLSN           string            `json:"replayLsn,omitempty"`
	SystemID            string            `json:"systemID"`
	IsPrimary           bool              `json:"isPrimary"`
	IsWALReceiverActive bool              `json:"isWalReceiverActive"`
	IsArchivingWAL      bool              `json:"isArchivingWAL,omitempty"`
	Pod                 podName           `json:"pod"`
	ConfigurationHash   string            `json:"loadedConfigurationHash,omitempty"`
	CurrentWAL          string            `json:"currentWAL,omitempty"`
	Timeline            int               `json:"timeLineID,omitempty"`
	Replication         []replication     `json:"replicationInfo,omitempty"`
	Slots               []replicationSlot `json:"replicationSlotsInfo,omitempty"`
	ExecutableHash      string            `json:"executableHash"`
	ManagerVersion      string            `json:"instanceManagerVersion"`
	Arch                string            `json:"instanceArch"`
	SessionID           string            `json:"sessionID"`
}

type podName struct {
	Metadata struct {
		Name string `json:"name"`
	} `json:"metadata"`
}

// replication is a row of pg_stat_replication. Upstream's name for the sent LSN is
// what it is.
type replication struct {
	ApplicationName string `json:"applicationName"`
	State           string `json:"state"`
	SentLSN         string `json:"receivedLsn"`
	WriteLSN        string `json:"writeLsn"`
	FlushLSN        string `json:"flushLsn"`
	ReplayLSN       string `json:"replayLsn"`
	SyncState       string `json:"syncState"`
	SyncPriority    string `json:"syncPriority"`
}

// replicationSlot is a row of pg_replication_slots.
type replicationSlot struct {
	SlotName   string `json:"slotName"`
	SlotType   string `json:"slotType"`
	RestartLSN string `json:"restartLsn"`
	WALStatus  string `json:"walStatus"`
	Active     bool   `json:"active"`
}

// status of a serving instance. The caller holds the kind's mutex.
func (in *instance) status() status {
	result := status{
		SystemID: in.disk.systemID, IsPrimary: in.disk.primary, Timeline: in.disk.timeline,
		ConfigurationHash: in.cluster.configHash, SessionID: in.session(),
		// The operator's own hash: an instance with another would be upgraded or rolled out.
		ExecutableHash: in.cluster.operatorHash, ManagerVersion: managerVersion, Arch: runtime.GOARCH,
	}
	result.Pod.Metadata.Name = in.pod.Name
	lsn := formatLSN(in.disk.lsn)
	if !in.disk.primary {
		result.ReceivedLSN, result.ReplayLSN = lsn, lsn
		result.IsWALReceiverActive = in.kind.primaryFor(in) != nil
		return result
	}
	result.CurrentLSN, result.CurrentWAL = lsn, walFile(in.disk.timeline, in.disk.lsn)
	for _, standby := range in.kind.standbysOf(in) {
		sent := formatLSN(standby.disk.lsn)
		row := replication{
			ApplicationName: standby.pod.Name, State: "streaming",
			SentLSN: sent, WriteLSN: sent, FlushLSN: sent, ReplayLSN: sent, SyncState: "async", SyncPriority: "0",
		}
		if in.cluster.synchronous {
			row.SyncState, row.SyncPriority = "quorum", "1"
		}
		result.Replication = append(result.Replication, row)
		result.Slots = append(result.Slots, replicationSlot{
			SlotName: "_cnpg_" + strings.ReplaceAll(standby.pod.Name, "-", "_"), SlotType: "physical",
			RestartLSN: sent, WALStatus: "reserved", Active: true,
		})
	}
	slices.SortFunc(result.Replication, func(a, b replication) int { return strings.Compare(a.ApplicationName, b.ApplicationName) })
	slices.SortFunc(result.Slots, func(a, b replicationSlot) int { return strings.Compare(a.SlotName, b.SlotName) })
	return result
}

func formatLSN(lsn uint64) string { return fmt.Sprintf("%X/%X", lsn>>32, lsn&0xffffffff) }

func walFile(timeline int, lsn uint64) string {
	return fmt.Sprintf("%08X%08X%08X", timeline, lsn>>32, (lsn&0xffffffff)/segment)
}
