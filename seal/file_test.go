package seal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestOpenMakesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "keys")
	k, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): os.ModeDir | 0o700} {
		if info, err := os.Stat(name); err != nil || info.Mode() != want {
			t.Errorf("%s: mode %v, %v; want %v", name, info.Mode(), err, want)
		}
	}
	token := k.Seal(nil, []byte("plain"), nil, nil)
	again, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := again.Open(nil, token, nil, nil); err != nil || string(got) != "plain" {
		t.Errorf("after reading the file again: %q, %v", got, err)
	}
	onlyEntry(t, filepath.Dir(path))
}

// onlyEntry fails when anything but the key file is left in its folder.
func onlyEntry(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
}

func TestStartersRace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	var wg sync.WaitGroup
	var tokens [16][]byte
	for i := range tokens {
		wg.Go(func() {
			k, err := Open(path)
			if err != nil {
				t.Error(err)
				return
			}
			tokens[i] = k.Seal(nil, []byte("plain"), nil, nil)
		})
	}
	wg.Wait()
	for _, token := range tokens[1:] {
		if !bytes.Equal(token, tokens[0]) {
			t.Fatalf("two starters have two keys: %s, %s", tokens[0], token)
		}
	}
	onlyEntry(t, filepath.Dir(path))
}

func TestOpenRefusesPermissions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "my keys")
	if _, err := Open(path); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o644, 0o660, 0o610, 0o601, 0o777} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := Open(path)
		var refused *PermissionError
		if !errors.As(err, &refused) || refused.Mode != mode {
			t.Errorf("mode %o: %v", mode, err)
			continue
		}
		if want := "chmod 600 '" + path + "'"; !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "mode 0") {
			t.Errorf("message %q lacks the mode or %q", err, want)
		}
	}
	for _, mode := range []os.FileMode{0o600, 0o400} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); err != nil {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
}

func TestOpenRefusesDamage(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keys")
	k, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Rotate(time.Unix(2e9, 0)); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(good), "\n") // notice, notice, header, identity, key b, key a, ""
	flip := func(line string, at int) string {
		c := byte('0')
		if line[at] == c {
			c = '1'
		}
		return line[:at] + string(c) + line[at+1:]
	}
	secret := strings.Fields(lines[4])[3]
	for _, tt := range []struct {
		name, text, problem string
		line                int
	}{
		{"empty", "", "empty", 1},
		{"only a notice", lines[0] + lines[1], "empty", 2},
		{"another file", "-----BEGIN PRIVATE KEY-----\n", "first line", 1},
		{"a later version", "ringwall-keys 2\n", "first line", 1},
		{"no header", lines[3] + lines[4], "first line", 1},
		{"cut after the header", strings.Join(lines[:3], ""), "without an identity", 3},
		{"cut after the identity", strings.Join(lines[:4], ""), "without a key", 4},
		{"cut inside a line", string(good[:len(good)-5]), "check value", 6},
		{"one digit altered", strings.Replace(string(good), lines[4], flip(lines[4], 40), 1), "check value", 5},
		{"id altered", strings.Replace(string(good), "key b", "key c", 1), "check value", 5},
		{"date altered", strings.Replace(string(good), "2033-", "2034-", 1), "check value", 5},
		{"no date", strings.Replace(string(good), "2033-", "x-", 1), "date", 5},
		{"no hex", strings.Replace(string(good), secret, secret[:63]+"g", 1), "hexadecimal", 5},
		{"short secret", strings.Replace(string(good), secret, secret[:62], 1), "hexadecimal", 5},
		{"long secret", strings.Replace(string(good), secret, secret+"00", 1), "hexadecimal", 5},
		{"long id", strings.Replace(string(good), "key b", "key bb", 1), "letter or digit", 5},
		{"odd word", strings.Replace(string(good), "key b", "kay b", 1), "letter or digit", 5},
		{"missing word", strings.Replace(string(good), "key b", "key", 1), "4 words", 5},
		{"two identities", string(good) + lines[3], "second identity", 7},
		{"one id twice", string(good) + lines[5], `second key with the id 'a'`, 7},
		{"binary", "\x00\xff\x00", "first line", 1},
		{"huge", strings.Repeat("#\n", maxFile), "too large", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Open(path)
			var damage *DamageError
			if !errors.As(err, &damage) {
				t.Fatalf("got %v", err)
			}
			if damage.Line != tt.line || !strings.Contains(damage.Problem, tt.problem) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %q, want line %d and %q", err, tt.line, tt.problem)
			}
			if strings.Contains(err.Error(), secret[:8]) {
				t.Errorf("the message shows a secret: %q", err)
			}
		})
	}
}

func TestOpenTooManyKeys(t *testing.T) {
	set := openKeys(t).set.Load()
	for range MaxKeys {
		fresh, err := newStoredKey(set.nextID(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		set.stored = append([]storedKey{fresh}, set.stored...)
	}
	if _, err := parse("keys", set.marshal()); err == nil || !strings.Contains(err.Error(), "more than 8 keys") {
		t.Errorf("got %v", err)
	}
}

// TestOpenTakesHandWork: comments, empty lines and spaces do no harm.
func TestOpenTakesHandWork(t *testing.T) {
	k := openKeys(t)
	text := strings.ReplaceAll(string(k.set.Load().marshal()), "\n", "\r\n\n  # note\n  ")
	set, err := parse("keys", []byte(strings.ReplaceAll(text, "key a", "key   a")))
	if err != nil {
		t.Fatal(err)
	}
	if !set.equal(k.set.Load()) {
		t.Error("read other keys")
	}
}

func TestOpenOther(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a folder: %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Join(file, "keys")); err == nil {
		t.Error("a folder that is a file was accepted")
	}
}

func TestRotateRefusesForeignChange(t *testing.T) {
	k := openKeys(t)
	other, err := Open(k.path)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Rotate(time.Unix(2e9, 0)); err != nil {
		t.Fatal(err)
	}
	before, _ := k.Active()
	if err := k.Rotate(time.Unix(2e9, 0)); err == nil || !strings.Contains(err.Error(), "was changed") {
		t.Errorf("got %v", err)
	}
	if after, _ := k.Active(); after != before {
		t.Error("a failed rotation changed the key")
	}
	if err := os.Remove(k.path); err != nil {
		t.Fatal(err)
	}
	if err := k.Rotate(time.Unix(2e9, 0)); err == nil {
		t.Error("the file is gone and Rotate is content")
	}
}

// TestErrorsLeaveNothing: a file that cannot be replaced leaves no temporary one.
func TestErrorsLeaveNothing(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "keys")
	if err := os.MkdirAll(filepath.Join(target, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := replaceFile(target, []byte("x")); err == nil {
		t.Error("a folder was replaced by a file")
	}
	onlyEntry(t, dir)
}

// TestReload: another node rotates the file that both hold.
func TestReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	one, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	other, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	old, use := one.Seal(nil, []byte("x"), []byte("use"), nil), other.Use("use")
	if err := other.Rotate(time.Unix(2e9, 0)); err != nil {
		t.Fatal(err)
	}
	token := other.Seal(nil, []byte("x"), []byte("use"), nil)
	if again := use.SealUnder(old[0], nil, []byte("x")); !bytes.Equal(again, old) {
		t.Errorf("%s under its old key is %s", old, again)
	}
	if gone := use.SealUnder('9', nil, []byte("x")); !bytes.Equal(gone, token) {
		t.Errorf("%s under no key is %s", token, gone)
	}
	if _, err := one.Open(nil, token, []byte("use"), nil); err == nil {
		t.Error("a key is known before it is read")
	}
	if changed, err := one.Reload(); err != nil || !changed {
		t.Fatalf("%t, %v", changed, err)
	}
	if _, err := one.Open(nil, token, []byte("use"), nil); err != nil {
		t.Error(err)
	}
	if changed, err := one.Reload(); err != nil || changed {
		t.Errorf("%t, %v", changed, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err != nil { // fresh keys
		t.Fatal(err)
	}
	if _, err := one.Reload(); err == nil || !strings.Contains(err.Error(), "identity") {
		t.Errorf("the keys of somebody else: %v", err)
	}
	if _, err := one.Open(nil, token, []byte("use"), nil); err != nil {
		t.Error("a refused file changes the keys")
	}
}

// TestFree: a key is not dropped before its time.
func TestFree(t *testing.T) {
	k, err := Open(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	start := time.Unix(2e9, 0)
	for i := range MaxKeys - 1 {
		if free := k.Free(time.Hour); !free.IsZero() {
			t.Errorf("%d keys are full until %v", i+1, free)
		}
		if err := k.Rotate(start.Add(time.Duration(i) * time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	if free := k.Free(time.Hour); !free.Equal(start.Add(time.Hour)) {
		t.Errorf("free from %v on", free)
	}
}
