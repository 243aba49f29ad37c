package postgres

import (
	"crypto/tls"
	"encoding/json"
	"net/http/httptest"
	"reflect"
	"slices"
	"testing"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// trio is a Cluster of three running instances, of which the first is the primary.
func trio(t *testing.T) (*Kind, []*instance) {
	t.Helper()
	kind := NewKind(nil, nil)
	seen, err := readCluster(&unstructured.Unstructured{Object: map[string]any{
		"spec": map[string]any{"postgresql": map[string]any{"synchronous": map[string]any{"method": "any"}}},
		"status": map[string]any{
			"targetPrimary": "db-1", "currentPrimary": "db-1", "cloudNativePGOperatorHash": "abc",
			"certificates":           map[string]any{"serverTLSSecret": "db-server"},
			"secretsResourceVersion": map[string]any{"serverSecretVersion": "7"},
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var all []*instance
	for _, name := range []string{"db-1", "db-2", "db-3"} {
		pod := &core.Pod{ObjectMeta: meta.ObjectMeta{
			Namespace: "iam", Name: name, UID: types.UID("uid-" + name),
			Labels: map[string]string{clusterLabel: "db", roleLabel: "instance"},
		}}
		made := &instance{kind: kind, pod: pod, cluster: seen, certificate: &tls.Certificate{}}
		kind.instances[pod.UID] = made
		// A first instance must not be made twice: the others copy it.
		fresh := *seen
		if name == "db-1" {
			fresh.currentPrimary = ""
		}
		if made.disk = kind.mount(pod.UID, made, &fresh); made.disk == nil {
			t.Fatalf("%s has no data", name)
		}
		made.serving = true
		all = append(all, made)
	}
	return kind, all
}

func served(t *testing.T, in *instance) map[string]any {
	t.Helper()
	recorder := httptest.NewRecorder()
	in.handler().ServeHTTP(recorder, httptest.NewRequest("GET", "/pg/status", nil))
	var result map[string]any
	if err := json.Unmarshal(recorder.Body.Bytes(), &result); err != nil {
		t.Fatalf("%d: %v", recorder.Code, err)
	}
	return result
}

func TestStatusOfAPrimary(t *testing.T) {
	_, all := trio(t)
	got := served(t, all[0])
	for field, want := range map[string]any{
		"isPrimary": true, "isWalReceiverActive": false, "currentLsn": "0/3000060", "timeLineID": 1.0,
		"currentWAL": "000000010000000000000003", "executableHash": "abc", "instanceManagerVersion": "1.30.0",
		"pod": map[string]any{"metadata": map[string]any{"name": "db-1"}}, "sessionID": "uid-db-1-0",
	} {
		if !reflect.DeepEqual(got[field], want) {
			t.Errorf("%s is %v, not %v", field, got[field], want)
		}
	}
	var names []string
	for _, row := range got["replicationInfo"].([]any) {
		row := row.(map[string]any)
		names = append(names, row["applicationName"].(string))
		if row["state"] != "streaming" || row["syncState"] != "quorum" || row["replayLsn"] != "0/3000060" {
			t.Errorf("replication %v", row)
		}
	}
	if !slices.Equal(names, []string{"db-2", "db-3"}) {
		t.Errorf("streams to %v", names)
	}
	if slot := got["replicationSlotsInfo"].([]any)[0].(map[string]any); slot["slotName"] != "_cnpg_db_2" || slot["active"] != true {
		t.Errorf("slot %v", slot)
	}
}

func TestStatusOfAStandby(t *testing.T) {
	_, all := trio(t)
	got := served(t, all[1])
	for field, want := range map[string]any{
		"isPrimary": false, "isWalReceiverActive": true, "receivedLsn": "0/3000060", "replayLsn": "0/3000060",
		"currentLsn": nil, "replicationInfo": nil, "systemID": all[0].disk.systemID,
	} {
		if got[field] != want {
			t.Errorf("%s is %v, not %v", field, got[field], want)
		}
	}
	all[0].serving = false
	if got := served(t, all[1]); got["isWalReceiverActive"] != false {
		t.Error("receives from a primary that is gone")
	}
}

// The operator takes a Cluster for one only as long as all its instances have the
// same settings and the same system.
func TestInstancesAgree(t *testing.T) {
	_, all := trio(t)
	one, other := served(t, all[0]), served(t, all[2])
	for _, field := range []string{"systemID", "loadedConfigurationHash", "timeLineID", "instanceArch"} {
		if one[field] != other[field] || one[field] == nil {
			t.Errorf("%s: %v and %v", field, one[field], other[field])
		}
	}
}
