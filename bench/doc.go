// Command bench measures onebeat at work, beside Celery's own beat on the same
// machine in the same run:
//
//	bench herd [-entries 1000,10000,100000] [-lines postgres+redis,…,beat] [-json] [-profile dir]
//	bench idle [-for 5m] [-dense] [-json]
//
// It starts the servers that it needs, PostgreSQL with fsync, unless
// ONEBEAT_TEST_POSTGRES, ONEBEAT_TEST_REDIS and ONEBEAT_TEST_RABBITMQ name them,
// and makes databases and queues of its own, which it removes.
//
// A herd is entries that are all due at one instant. The time that counts is from
// the slot to the last acknowledgement of the broker, by onebeat's own ledger and,
// independently, by the length of the queue. The journal, the record and the
// ledger are on, as they always are.
//
//   - onebeat is the command that users run, started as they start it.
//   - CPU is what the kernel charges to the process: user and system time, of all
//     its threads, the servers' not included.
//   - Servers, observer and onebeat share the machine, so that its speed is theirs too.
package main
