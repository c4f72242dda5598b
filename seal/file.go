package seal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The key file is text. Each key is a line of its own that ends in a check value, so that damage is found and named:
//
//	ringwall-keys 1
//	identity - 2026-01-31T12:00:00Z SECRET CHECK
//	key b 2026-03-01T12:00:00Z SECRET CHECK
//	key a 2026-01-31T12:00:00Z SECRET CHECK
//
// SECRET is 32 bytes in hexadecimal, CHECK the first 4 bytes of the SHA-256 of the line before it. The first key is
// the active one. Empty lines and lines that begin with # are passed over.
const (
	fileHeader = "ringwall-keys 1"
	fileNotice = "# ringwall's keys. Keep them secret (mode 0600) and keep a copy: who loses them loses all running calls,\n" +
		"# and phones must register anew. Nodes that stand in for each other hold the same file.\n"
	maxFile  = 64 << 10
	checkLen = 4
)

// A PermissionError says that others than the owner may read or write the key file. Open refuses such a file, because
// its keys must be taken as known.
type PermissionError struct {
	Path string
	Mode fs.FileMode // permission bits found
}

// Error is one sentence with the command that cures it.
func (e *PermissionError) Error() string {
	return fmt.Sprintf("key file %s is open to others (mode %04o): run chmod 600 %s", e.Path, e.Mode, shellWord(e.Path))
}

// A DamageError says that the key file cannot be used as it is.
type DamageError struct {
	Path    string
	Line    int // from 1
	Problem string
}

// Error is one sentence: file, line, what is wrong and what to do.
func (e *DamageError) Error() string {
	return fmt.Sprintf("key file %s, line %d: %s; put a good copy back, or move the file away to start with new keys",
		e.Path, e.Line, e.Problem)
}

// Open reads the key file at path. Where there is none it makes one with fresh keys (mode 0600, and the folder with
// mode 0700 if that is missing, too); when several processes start at once, all use the file of the first. A file that
// group or others can read or write is refused with a *PermissionError, a damaged one with a *DamageError.
func Open(path string) (*Keys, error) {
	set, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = createFile(path, time.Now()); err != nil {
			return nil, fmt.Errorf("make key file: %w", err)
		}
		set, err = readFile(path)
	}
	if err != nil {
		return nil, err
	}
	k := &Keys{path: path}
	k.set.Store(set)
	return k, nil
}

// readFile reads, checks and parses the key file.
func readFile(path string) (*keySet, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat() // of the open file, so that it cannot be exchanged between the check and the reading
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read key file: %s is not a regular file", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, &PermissionError{Path: path, Mode: mode}
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	if len(data) > maxFile {
		return nil, &DamageError{path, 1, "too large to be a key file"}
	}
	return parse(path, data)
}

// parse makes a key set of the text of the key file.
func parse(path string, data []byte) (*keySet, error) {
	var read keySet
	n, headed := 0, false
	for line := range strings.Lines(string(data)) {
		n++
		line = strings.TrimSpace(line)
		var err error
		switch {
		case line == "" || line[0] == '#':
		case headed:
			err = read.add(line)
		case line != fileHeader:
			err = fmt.Errorf("want %q, the first line of a key file of this version", fileHeader)
		default:
			headed = true
		}
		if err != nil {
			return nil, &DamageError{path, n, err.Error()}
		}
	}
	switch {
	case !headed:
		return nil, &DamageError{path, max(n, 1), "the file is empty"}
	case read.identity.created.IsZero():
		return nil, &DamageError{path, n, "the file ends without an identity key"}
	case len(read.stored) == 0:
		return nil, &DamageError{path, n, "the file ends without a key"}
	}
	return newKeySet(read.identity, read.stored)
}

// add takes in the key of one line.
func (s *keySet) add(line string) error {
	k, err := parseKey(line)
	switch {
	case err != nil:
		return err
	case k.id == 0 && !s.identity.created.IsZero():
		return errors.New("a second identity key")
	case k.id == 0:
		s.identity = k
	case s.find(k.id) >= 0:
		return fmt.Errorf("a second key with the id %q", k.id)
	case len(s.stored) == MaxKeys:
		return fmt.Errorf("more than %d keys", MaxKeys)
	default:
		s.stored = append(s.stored, k)
	}
	return nil
}

// parseKey reads one key line. Its errors never hold a secret.
func parseKey(line string) (storedKey, error) {
	f := strings.Fields(line)
	if len(f) != 5 {
		return storedKey{}, fmt.Errorf("%d words where a key has 5", len(f))
	}
	var k storedKey
	switch {
	case f[0] == "identity" && f[1] == "-":
	case f[0] == "key" && len(f[1]) == 1 && strings.Contains(keyIDs, f[1]):
		k.id = f[1][0]
	default:
		return storedKey{}, errors.New(`want "identity -" or "key" and one letter or digit`)
	}
	var err error
	if k.created, err = time.Parse(time.RFC3339, f[2]); err != nil || k.created.IsZero() {
		return storedKey{}, errors.New("the date cannot be read")
	}
	if n, err := hex.Decode(k.secret[:], []byte(f[3][:min(len(f[3]), 2*secretLen)])); err != nil || n != secretLen || len(f[3]) != 2*secretLen {
		return storedKey{}, fmt.Errorf("the secret is not %d hexadecimal digits", 2*secretLen)
	}
	if k.line() != strings.Join(f, " ") {
		return storedKey{}, errors.New("the check value does not fit: the line was altered")
	}
	return k, nil
}

// line is the text of a key in the file.
func (k storedKey) line() string {
	name := "identity -"
	if k.id != 0 {
		name = "key " + string(rune(k.id))
	}
	text := fmt.Sprintf("%s %s %x", name, k.created.UTC().Format(time.RFC3339), k.secret)
	sum := sha256.Sum256([]byte(text))
	return fmt.Sprintf("%s %x", text, sum[:checkLen])
}

// marshal is the text of the key file.
func (s *keySet) marshal() []byte {
	var b bytes.Buffer
	b.WriteString(fileNotice + fileHeader + "\n" + s.identity.line() + "\n")
	for _, k := range s.stored {
		b.WriteString(k.line() + "\n")
	}
	return b.Bytes()
}

// createFile makes a key file with fresh keys, unless path exists by then: the file is complete before it gets its
// name, and a link, unlike a rename, never replaces.
func createFile(path string, now time.Time) error {
	identity, err := newStoredKey(0, now)
	if err != nil {
		return err
	}
	first, err := newStoredKey(keyIDs[0], now)
	if err != nil {
		return err
	}
	set, err := newKeySet(identity, []storedKey{first})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return writeFile(path, set.marshal(), func(temp string) error {
		if err := os.Link(temp, path); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	})
}

// replaceFile exchanges the file at path for one with this content.
func replaceFile(path string, content []byte) error {
	return writeFile(path, content, func(temp string) error { return os.Rename(temp, path) })
}

// writeFile writes content to a temporary file beside path, brings it to the disk, lets place give it its name, and
// brings the name to the disk.
func writeFile(path string, content []byte, place func(temp string) error) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".ringwall-keys-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // without effect after a rename
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = place(f.Name())
	}
	if err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// shellWord quotes a path for a shell where that is needed.
func shellWord(path string) string {
	if strings.ContainsFunc(path, func(r rune) bool { return !strings.ContainsRune(keyIDs+"/._-", r) }) {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}
