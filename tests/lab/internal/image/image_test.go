package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestArchiveHoldsWhatItsDigestsSay(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, []byte("content"), 0o755); err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(t.TempDir(), "image.tar")
	wanted := Image{Reference: "lab.example/a:1", Entrypoint: []string{"/bin/program"}, Files: map[string]string{"/bin/program": program}}
	if err := wanted.Write(archive); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	blobs := files(t, data)
	for path, content := range blobs {
		digest, isBlob := strings.CutPrefix(path, "blobs/sha256/")
		found := sha256.Sum256(content)
		if isBlob && digest != hex.EncodeToString(found[:]) {
			t.Errorf("%s holds something else", path)
		}
	}
	var index, manifest struct {
		Manifests []descriptor
		Layers    []descriptor
	}
	if err := json.Unmarshal(blobs["index.json"], &index); err != nil {
		t.Fatal(err)
	}
	if name := index.Manifests[0].Annotations["io.containerd.image.name"]; name != "lab.example/a:1" {
		t.Errorf("the image is called %q", name)
	}
	if err := json.Unmarshal(blobs[blobPath(index.Manifests[0])], &manifest); err != nil {
		t.Fatal(err)
	}
	layer := files(t, blobs[blobPath(manifest.Layers[0])])
	if string(layer["bin/program"]) != "content" {
		t.Errorf("the layer has %q", slices.Sorted(maps.Keys(layer)))
	}
}

func TestWriteNamesAFileThatIsMissing(t *testing.T) {
	err := Image{Reference: "lab.example/a:1", Files: map[string]string{"/a": "/does/not/exist"}}.Write(filepath.Join(t.TempDir(), "image.tar"))
	if err == nil || !strings.Contains(err.Error(), "/does/not/exist") {
		t.Errorf("got %v", err)
	}
}

func files(t *testing.T, data []byte) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	for reader := tar.NewReader(bytes.NewReader(data)); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		if found[header.Name], err = io.ReadAll(reader); err != nil {
			t.Fatal(err)
		}
	}
}
