package deploy_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/onebeat/onebeat/internal/app"
)

// manifest is as much of kubernetes.yaml as is ours to check.
type manifest struct {
	Kind string
	Spec struct {
		Selector struct {
			MatchLabels map[string]string `yaml:"matchLabels"`
		}
		Template struct {
			Metadata struct{ Labels map[string]string }
			Spec     struct {
				TerminationGracePeriodSeconds int `yaml:"terminationGracePeriodSeconds"`
				SecurityContext               struct {
					RunAsUser int `yaml:"runAsUser"`
				} `yaml:"securityContext"`
				Containers []struct {
					Env             []struct{ Name, Value string }
					Ports           []struct{ Name string }
					ReadinessProbe  probe `yaml:"readinessProbe"`
					LivenessProbe   probe `yaml:"livenessProbe"`
					SecurityContext struct {
						ReadOnlyRootFilesystem bool `yaml:"readOnlyRootFilesystem"`
					} `yaml:"securityContext"`
				}
			}
		}
	}
}

type probe struct {
	HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
}

func TestKubernetesSetsWhatOnebeatKnows(t *testing.T) {
	file, err := os.Open(filepath.Join(deploy, "kubernetes.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var all []manifest
	for decoder := yaml.NewDecoder(file); ; {
		var m manifest
		err := decoder.Decode(&m)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	at := slices.IndexFunc(all, func(m manifest) bool { return m.Kind == "Deployment" })
	if at < 0 || len(all[at].Spec.Template.Spec.Containers) != 1 {
		t.Fatal("there is no Deployment of one container")
	}
	pod := all[at].Spec.Template
	for _, m := range all {
		for label, value := range m.Spec.Selector.MatchLabels {
			if pod.Metadata.Labels[label] != value {
				t.Errorf("the %s selects %s: %s, which the pods have not", m.Kind, label, value)
			}
		}
	}
	container := pod.Spec.Containers[0]
	environment := map[string]string{"DATABASE_URL": "postgresql://u@h/d", "CELERY_BROKER_URL": "redis://h/0"} // the secret's
	var environ []string
	for _, variable := range container.Env {
		environment[variable.Name] = variable.Value
		environ = append(environ, variable.Name+"="+variable.Value)
	}
	config, err := app.Load(nil, func(name string) string { return environment[name] }, environ)
	if err != nil {
		t.Fatalf("onebeat refuses its settings: %v", err)
	}
	if got, want := config.String("listen"), ":8080"; got != want {
		t.Errorf("listen = %q, want %q", got, want)
	}
	if drain := config.Length("drain").Seconds(); float64(pod.Spec.TerminationGracePeriodSeconds) <= drain {
		t.Errorf("terminationGracePeriodSeconds = %d, want more than --drain, %v", pod.Spec.TerminationGracePeriodSeconds, drain)
	}
	if got := pod.Spec.SecurityContext.RunAsUser; got != nobody || !container.SecurityContext.ReadOnlyRootFilesystem {
		t.Errorf("it runs as %d, want %d, on a read-only root", got, nobody)
	}
	for name, p := range map[string]probe{"/readyz": container.ReadinessProbe, "/": container.LivenessProbe} {
		if p.HTTPGet.Path != name || p.HTTPGet.Port != container.Ports[0].Name {
			t.Errorf("a probe asks for %+v, want %s of the port %s", p.HTTPGet, name, container.Ports[0].Name)
		}
	}
}
