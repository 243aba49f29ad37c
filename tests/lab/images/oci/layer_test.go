package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// tree makes a directory of files with these contents.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Unix(1e9, 5e8), time.Unix(1e9, 5e8)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func layer(t *testing.T, directory, base string) []byte {
	t.Helper()
	var output bytes.Buffer
	if _, err := writeLayer(&output, directory, base); err != nil {
		t.Fatal(err)
	}
	return output.Bytes()
}

func entries(t *testing.T, compressed []byte) map[string]*tar.Header {
	t.Helper()
	plain, err := zstd.NewReader(bytes.NewReader(compressed))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]*tar.Header{}
	for reader := tar.NewReader(plain); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		found[header.Name] = header
	}
}

func TestDifferenceHoldsChangesAndMarksWhatIsGone(t *testing.T) {
	base := tree(t, map[string]string{"same": "a", "changed": "a", "gone/x": "a", "gone/y": "a"})
	top := tree(t, map[string]string{"same": "a", "changed": "b", "new/z": "a"})
	names := slices.Sorted(maps.Keys(entries(t, layer(t, top, base))))
	if wanted := []string{".wh.gone", "changed", "new/", "new/z"}; !slices.Equal(names, wanted) {
		t.Errorf("got %v, wanted %v", names, wanted)
	}
}

func TestSecondNameOfAFileIsALink(t *testing.T) {
	root := tree(t, map[string]string{"a": "content"})
	if err := os.Link(filepath.Join(root, "a"), filepath.Join(root, "b")); err != nil {
		t.Fatal(err)
	}
	link := entries(t, layer(t, root, ""))["b"]
	if link.Typeflag != tar.TypeLink || link.Linkname != "a" || link.Size != 0 {
		t.Errorf("got %+v", link)
	}
}

func TestSameFilesMakeTheSameBytes(t *testing.T) {
	files := map[string]string{"a": "1", "b": "2", "d/e": "3"}
	first, second := tree(t, files), tree(t, files)
	for _, root := range []string{first, second} {
		if err := os.Chtimes(filepath.Join(root, "d"), time.Unix(1e9, 0), time.Unix(1e9, 0)); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(layer(t, first, ""), layer(t, second, "")) {
		t.Error("the two layers differ")
	}
}
