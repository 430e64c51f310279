package app

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/celery"
)

// Celery's settings that decide how the broker and the workers are reached, and not what a task's
// message says.
const (
	transportOptions = "broker_transport_options"
	useSSL           = "broker_use_ssl"
	failoverStrategy = "broker_failover_strategy"
	eventExchange    = "event_exchange"
	controlExchange  = "control_exchange"
)

var ofTransport = []string{transportOptions, useSSL, failoverStrategy, eventExchange, controlExchange}

// OpenBroker opens the broker that the settings name, with what they say of how it
// is reached; options are what else there is to know.
func OpenBroker(config Config, options broker.Options) (broker.Broker, error) {
	url, options, err := reaching(config, options)
	if err != nil {
		return nil, err
	}
	return broker.Open(url, options)
}

// OpenObserver opens the broker that the settings name to listen at it.
func OpenObserver(config Config, options broker.Options) (broker.Observer, error) {
	if err := checkBroker(config); err != nil {
		return nil, err
	}
	url, options, err := reaching(config, options)
	if err != nil {
		return nil, err
	}
	return broker.OpenObserver(url, options)
}

// reaching is the broker's URL, and the options with what the settings say of the way there.
func reaching(config Config, options broker.Options) (string, broker.Options, error) {
	url, err := BrokerURL(config)
	if err != nil {
		return "", options, err
	}
	if options.TransportOptions, err = TransportOptions(config); err != nil {
		return "", options, err
	}
	if options.Exchanges, err = exchanges(config); err != nil {
		return "", options, err
	}
	options.Shuffle, err = shuffle(config)
	return url, options, err
}

// exchanges reads event_exchange and control_exchange.
func exchanges(config Config) (e celery.Exchanges, err error) {
	for name, to := range map[string]*string{eventExchange: &e.EventExchange, controlExchange: &e.ControlExchange} {
		if err := decode(config, name, to); err != nil {
			return e, fmt.Errorf("%s must be the name of an exchange, as the workers have it", name)
		}
	}
	return e, nil
}

func checkBroker(config Config) error {
	url := config.String("broker")
	switch {
	case url == "":
		return errors.New("no broker is set: give --broker, or CELERY_BROKER_URL in the environment")
	case !strings.Contains(url, "://"): // what stands there may be a password
		return errors.New("broker is no URL: it should be like redis://host:6379/0 or amqp://host:5672/")
	}
	url, options, err := reaching(config, broker.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	return broker.Check(url, options)
}

// TransportOptions reads Celery's broker_transport_options.
func TransportOptions(config Config) (options map[string]any, err error) {
	if err := decode(config, transportOptions, &options); err != nil {
		return nil, fmt.Errorf("%s must be a map of options", transportOptions)
	}
	return options, nil
}

// BrokerURL is the broker's URL with what broker_use_ssl adds to it.
func BrokerURL(config Config) (string, error) {
	url := config.String("broker")
	var given any
	err := decode(config, useSSL, &given)
	options, isMap := given.(map[string]any)
	on, isBool := given.(bool)
	switch {
	case err != nil, given != nil && !isMap && !isBool:
		return "", fmt.Errorf("%s must be true or a map: ca_certs, certfile, keyfile, cert_reqs, server_hostname", useSSL)
	case given == nil, isBool && !on:
		return url, nil
	}
	return broker.WithTLS(url, options)
}

// shuffle reads broker_failover_strategy.
func shuffle(config Config) (bool, error) {
	var strategy string
	err := decode(config, failoverStrategy, &strategy)
	if err != nil || strategy != "" && strategy != "round-robin" && strategy != "shuffle" {
		return false, fmt.Errorf("%s must be round-robin or shuffle", failoverStrategy)
	}
	return strategy == "shuffle", nil
}

// decode reads one of Celery's settings, which is a node of the file or a text of
// the environment, if it is set.
func decode(config Config, name string, to any) error {
	switch given := config.Celery()[name].(type) {
	case *yaml.Node:
		return given.Decode(to)
	case string:
		return yaml.Unmarshal([]byte(given), to)
	}
	return nil
}
