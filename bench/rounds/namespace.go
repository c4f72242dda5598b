package rounds

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// A namespace is a network of its own. It has no name outside this process: it lasts as long as the file is open or a process
// or socket is in it, so that nothing stays behind, whatever ends this process. Nil is the network this process is in.
type namespace struct{ file *os.File }

// ownNetwork is the network of the calling thread.
const ownNetwork = "/proc/thread-self/ns/net"

// mayMakeNamespaces returns an error that is fs.ErrPermission unless this thread may make namespaces and interfaces.
func mayMakeNamespaces() error {
	const need = 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_SYS_ADMIN // both in the first word
	var have [2]unix.CapUserData
	if err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &have[0]); err != nil {
		return os.NewSyscallError("capget", err)
	}
	if have[0].Effective&need != need {
		return fmt.Errorf("make a network namespace for a tap device: %w: it needs root, or CAP_NET_ADMIN and CAP_SYS_ADMIN", fs.ErrPermission)
	}
	return nil
}

// newNamespace makes an empty one, in which not even lo is up.
func newNamespace() (*namespace, error) {
	n := &namespace{}
	unshare := func() error { return os.NewSyscallError("unshare", unix.Unshare(unix.CLONE_NEWNET)) }
	err := elsewhere(unshare, func() (err error) {
		n.file, err = os.Open(ownNetwork)
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make a network namespace: %w", err), n.close())
	}
	return n, nil
}

// do calls f on a thread that is in the namespace: sockets that f opens stay there, and so do processes that it starts.
func (n *namespace) do(f func() error) error {
	if n == nil {
		return f()
	}
	setns := func() error { return os.NewSyscallError("setns", unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET)) }
	return elsewhere(setns, f)
}

func (n *namespace) close() error {
	if n == nil || n.file == nil {
		return nil
	}
	return n.file.Close()
}

// elsewhere calls leave, which takes the thread to another namespace, then f, and comes back. A thread that cannot come back
// stays locked to the goroutine, and ends with it.
func elsewhere(leave, f func() error) error {
	runtime.LockOSThread()
	home, err := os.Open(ownNetwork)
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer home.Close()
	if err = leave(); err == nil {
		err = f()
	}
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		return errors.Join(err, fmt.Errorf("come back from a network namespace: %w", os.NewSyscallError("setns", back)))
	}
	runtime.UnlockOSThread()
	return err
}
