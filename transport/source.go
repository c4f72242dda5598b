package transport

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// maxSource is the largest file of certificates or keys that is read, bytes. All authorities of a system are a quarter of it.
const maxSource = 1 << 20

// A Source is where a certificate, a private key or authorities (PEM) come from: a file, which is followed, or a text that was given
// once. It is comparable, and prints as its name: never as what it holds. The zero Source is none.
type Source struct{ file, name, text string }

// File is the file at path.
func File(path string) Source { return Source{file: path, name: path} }

// Text is PEM text that is held already; name is what messages call it, such as "env:TLS_KEY".
func Text(name, text string) Source { return Source{name: name, text: text} }

// String is the name of s.
func (s Source) String() string { return s.name }

// GoString is the name of s, too.
func (s Source) GoString() string { return s.name }

// read returns what s holds.
func (s Source) read() ([]byte, error) {
	if s.file == "" {
		return []byte(s.text), nil
	}
	f, err := os.Open(s.file)
	if err == nil {
		defer f.Close()
		var data []byte
		if data, err = io.ReadAll(io.LimitReader(f, maxSource+1)); err == nil && len(data) <= maxSource {
			return data, nil
		}
	}
	switch {
	case err == nil:
		return nil, fmt.Errorf("%s is larger than %d KiB", s, maxSource>>10)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no file %s", s)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("the file %s may not be read by this user", s)
	}
	return nil, fmt.Errorf("cannot read %s: %w", s, err)
}

// files are the names of the files among all.
func files(all ...Source) (names []string) {
	for _, s := range all {
		if s.file != "" {
			names = append(names, s.file)
		}
	}
	return names
}
