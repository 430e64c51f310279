package main

import (
	"errors"
	"strings"
	"testing"
)

func TestAMissingRightIsToldWithWhatListsThemAll(t *testing.T) {
	for text, listed := range map[string]bool{
		"read runs: ERROR: permission denied for table onebeat_parts (SQLSTATE 42501)":                                    true,
		"read runs: Error 1142 (42000): SELECT command denied to user 'u'@'h' for table `d`.`onebeat_parts`":              true,
		"give this one the rights in docs/operating.md: ERROR: permission denied for table onebeat_meta (SQLSTATE 42501)": false,
		"read runs: ERROR: canceling statement due to user request (SQLSTATE 57014)":                                      false,
	} {
		got := explain(errors.New(text)).Error()
		if strings.HasSuffix(got, ": docs/operating.md lists the rights that the user of the database needs") != listed || !strings.HasPrefix(got, text) {
			t.Errorf("explain(%s) = %s, want the list of rights named: %v", text, got, listed)
		}
	}
}
