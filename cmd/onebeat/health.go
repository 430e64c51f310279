package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/onebeat/onebeat/internal/app"
	"github.com/onebeat/onebeat/internal/web"
)

func healthCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:        "health",
		SuggestFor: []string{"status"},
		Short:      "Ask the daemon on this machine whether it is well: for probes",
		Long: `Ask the daemon on this machine whether it is well, for probes that run a command.
Exit code 0: it is. 3: it is not, or does not answer.`,
		Example: "  onebeat health\n  onebeat health --listen 127.0.0.1:8080 --json",
		Args:    noArguments,
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		config, err := settings(cmd)
		if err != nil {
			return err
		}
		if config.String("listen") == "off" {
			return usage("listen is off, so the daemon answers nowhere: start it with --listen host:port")
		}
		address, err := probeAddress(config.String("listen"))
		if err != nil {
			return err
		}
		health, err := askHealth(address, healthPatience)
		switch {
		case *asJSON:
			if err != nil {
				health.Checks = []web.Check{{Name: "daemon", Detail: err.Error()}}
			}
			if err := printJSON(cmd.OutOrStdout(), health); err != nil {
				return err
			}
		case err != nil:
			return exitError{exitNo, err.Error()}
		default:
			printHealth(cmd, health)
		}
		if !health.OK {
			return exitError{code: exitNo}
		}
		return nil
	}
	settingFlags(cmd, func(s app.Setting) bool { return s.Name == "listen" || s.Name == "config" })
	return cmd
}

// healthPatience is longer than the daemon takes for its answer.
const healthPatience = 5 * time.Second

// askHealth returns what the daemon at address says of itself; an error says that none does.
func askHealth(address string, within time.Duration) (health web.Health, err error) {
	client := http.Client{Timeout: within}
	defer client.CloseIdleConnections()
	response, err := client.Get("http://" + address + "/healthz")
	if late := net.Error(nil); errors.As(err, &late) && late.Timeout() {
		return web.Health{}, fmt.Errorf("the daemon at %s does not answer within %v: is it frozen (stopped, or its machine out of memory)?", address, within)
	}
	if err != nil {
		return web.Health{}, fmt.Errorf("no daemon answers at %s: is it running, and with this --listen?", address)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&health); err != nil || health.Node == "" {
		return web.Health{}, fmt.Errorf("what answers at %s is not onebeat", address)
	}
	return health, nil
}

// probeAddress is where a daemon that listens at address is reached from its own machine.
func probeAddress(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", usage("--listen %s: give host:port of the daemon", address)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

func printHealth(cmd *cobra.Command, health web.Health) {
	role := "waits for the lease"
	if health.Leader {
		role = fmt.Sprintf("dispatches, term %d", health.Term)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", health.Node, role)
	for _, check := range health.Checks {
		mark := "ok"
		if !check.OK {
			mark = "FAILED"
		}
		if check.Detail != "" {
			mark += ": " + check.Detail
		}
		fmt.Fprintf(cmd.OutOrStdout(), "  %-10s %s\n", check.Name, mark)
	}
}
