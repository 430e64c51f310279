package deploy_test

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// nobody is the user that the image runs as.
const nobody = 65532

// buildStatic builds onebeat with the very command of the Dockerfile.
func buildStatic(t *testing.T) string {
	t.Helper()
	const root = "../.."
	text, err := os.ReadFile(filepath.Join(root, "deploy", "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^RUN (CGO_ENABLED=0 go build .*) -o /onebeat (\S+)$`).FindStringSubmatch(string(text))
	if line == nil {
		t.Fatal("deploy/Dockerfile has no line RUN CGO_ENABLED=0 go build … -o /onebeat …")
	}
	binary := filepath.Join(t.TempDir(), "onebeat")
	cmd := exec.Command("sh", "-c", line[1]+` -o "$0" `+line[2], binary)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", line[0], err, out)
	}
	return binary
}

// emptyRoot makes a folder with the binary in it alone, that nobody may write to,
// and returns how to run the binary with that folder as the whole file system.
func emptyRoot(t *testing.T, binary string) func(args ...string) *exec.Cmd {
	t.Helper()
	// Under a folder that others may pass, which t.TempDir is not.
	root, err := os.MkdirTemp("", "onebeat-root-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = os.Chmod(root, 0o755) // to be able to empty it
		if err := os.RemoveAll(root); err != nil {
			t.Error(err)
		}
	})
	text, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "onebeat"), text, 0o555); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(root, 0o555); err != nil {
		t.Fatal(err)
	}
	return func(args ...string) *exec.Cmd {
		cmd := exec.Command("/onebeat", args...)
		cmd.Dir = "/"
		cmd.Env = []string{}
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Pdeathsig: syscall.SIGKILL}
		if os.Geteuid() == 0 {
			cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
			return cmd
		}
		// Without root, a user namespace of its own lets the child change its root.
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: nobody, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: nobody, HostID: os.Getgid(), Size: 1}}
		return cmd
	}
}

func TestBinaryNeedsNothingBesideIt(t *testing.T) {
	binary := buildStatic(t)
	file, err := elf.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, program := range file.Progs {
		if program.Type == elf.PT_INTERP {
			t.Error("the binary asks for a dynamic linker")
		}
	}

	inEmptyRoot := emptyRoot(t, binary)
	out, err := inEmptyRoot("--help").CombinedOutput()
	if err != nil {
		t.Fatalf("onebeat --help in an empty root (as root, or where user namespaces are allowed): %v\n%s", err, out)
	}
	if !strings.Contains(string(out), "onebeat") {
		t.Errorf("onebeat --help said %q", out)
	}
	// A zone can come from nowhere but the binary: 09:00 in Tokyo is 00:00 UTC.
	out, err = inEmptyRoot("next", "0 9 * * *", "--zone", "Asia/Tokyo", "--from", "2026-11-23T12:00:00Z").CombinedOutput()
	if err != nil {
		t.Fatalf("onebeat next in an empty root: %v\n%s", err, out)
	}
	if !strings.Contains(string(out), "2026-11-24T00:00:00Z") {
		t.Errorf("onebeat next said %q, want 2026-11-24T00:00:00Z", out)
	}
}

// Most of a binary can be left out as long as nothing looks up methods by names
// that are not constant, as text/template and html/template do.
func TestBinaryStaysSmall(t *testing.T) {
	const most = 40 << 20
	info, err := os.Stat(buildStatic(t))
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > most {
		t.Errorf("the binary has %d bytes, want at most %d", info.Size(), most)
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-dumpdep", "-o", filepath.Join(t.TempDir(), "onebeat"), "./cmd/onebeat")
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("go build -ldflags=-dumpdep: %v\n%s", err, out[max(0, len(out)-2000):])
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "<ReflectMethod>") {
			t.Fatalf("what looks up methods by name is linked in: %s", line)
		}
	}
}
