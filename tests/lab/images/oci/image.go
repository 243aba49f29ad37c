// An image: layers, a configuration, a manifest, and the index that names it, in the layout that `ctr images import` takes.
package main

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

const mediaType = "application/vnd.oci.image."

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type image struct {
	blobs   string // directory, a file for each blob, named by its hash
	layers  []descriptor
	diffIDs []string
}

func (i *image) addLayer(directory, base string) error {
	temporary, err := os.CreateTemp(i.blobs, "layer-")
	if err != nil {
		return err
	}
	defer temporary.Close()
	compressed := sha256.New()
	plain, err := writeLayer(io.MultiWriter(temporary, compressed), directory, base)
	if err != nil {
		return err
	}
	info, err := temporary.Stat()
	if err != nil {
		return err
	}
	name := hex.EncodeToString(compressed.Sum(nil))
	i.layers = append(i.layers, descriptor{mediaType + "layer.v1.tar+zstd", "sha256:" + name, info.Size(), nil})
	i.diffIDs = append(i.diffIDs, "sha256:"+hex.EncodeToString(plain.Sum(nil)))
	return os.Rename(temporary.Name(), filepath.Join(i.blobs, name))
}

// addJSON stores value as a blob of the type kind.
func (i *image) addJSON(kind string, value any) (descriptor, error) {
	content, err := json.Marshal(value)
	if err != nil {
		return descriptor{}, err
	}
	sum := sha256.Sum256(content)
	name := hex.EncodeToString(sum[:])
	blob := descriptor{mediaType + kind, "sha256:" + name, int64(len(content)), nil}
	return blob, os.WriteFile(filepath.Join(i.blobs, name), content, 0o644)
}

func (i *image) write(request request) error {
	config, err := i.addJSON("config.v1+json", map[string]any{
		"created": epoch, "architecture": runtime.GOARCH, "os": runtime.GOOS,
		"config": request.settings,
		"rootfs": map[string]any{"type": "layers", "diff_ids": i.diffIDs},
	})
	if err != nil {
		return err
	}
	manifest, err := i.addJSON("manifest.v1+json", map[string]any{
		"schemaVersion": 2, "mediaType": mediaType + "manifest.v1+json",
		"config": config, "layers": i.layers,
	})
	if err != nil {
		return err
	}
	manifest.Annotations = map[string]string{
		"io.containerd.image.name":          request.reference,
		"org.opencontainers.image.ref.name": request.reference[strings.LastIndex(request.reference, ":")+1:],
	}
	index, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": mediaType + "index.v1+json", "manifests": []descriptor{manifest},
	})
	if err != nil {
		return err
	}
	return i.pack(request.output, index)
}

// pack writes a file beside output first, so that output is whole or not there.
func (i *image) pack(output string, index []byte) error {
	temporary := output + ".new"
	file, err := os.Create(temporary)
	if err != nil {
		return err
	}
	defer file.Close()
	writer := tar.NewWriter(file)
	put := func(name string, size int64, content io.Reader) error {
		header := tar.Header{Name: name, Mode: 0o644, Size: size, ModTime: epoch, Format: tar.FormatPAX}
		if err := writer.WriteHeader(&header); err != nil {
			return err
		}
		_, err := io.Copy(writer, content)
		return err
	}
	layout := `{"imageLayoutVersion":"1.0.0"}`
	if err := put("oci-layout", int64(len(layout)), strings.NewReader(layout)); err != nil {
		return err
	}
	if err := put("index.json", int64(len(index)), strings.NewReader(string(index))); err != nil {
		return err
	}
	if err := i.eachBlob(func(name string, size int64, content io.Reader) error {
		return put("blobs/sha256/"+name, size, content)
	}); err != nil {
		return err
	}
	if err := writer.Close(); err != nil {
		return err
	}
	return os.Rename(temporary, output)
}

func (i *image) eachBlob(visit func(name string, size int64, content io.Reader) error) error {
	entries, err := os.ReadDir(i.blobs)
	if err != nil {
		return err
	}
	slices.SortFunc(entries, func(a, b os.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			return err
		}
		blob, err := os.Open(filepath.Join(i.blobs, entry.Name()))
		if err != nil {
			return err
		}
		err = visit(entry.Name(), info.Size(), blob)
		blob.Close()
		if err != nil {
			return err
		}
	}
	return nil
}
