// Command bench measures onebeat beside what it takes the place of, on the same
// machine in the same run with the same number of entries:
//
//	bench [-entries 1000,10000] [-lines postgres+redis,…,beat,django,redbeat] [-json] [-profile dir]
//	bench -steady 1000,30000 [-for 60s] [-lines postgres+redis,sqlite+redis] [-json] [-profile dir]
//
// onebeat is measured as `onebeat bench` does (internal/measure); the others are
// Celery's own beat, django-celery-beat and RedBeat as test/python pins them, each
// with the cheapest schedule that it has, an interval, and no worker. Of them the
// length of the queue tells how many messages came.
//
// It starts the servers that it needs, PostgreSQL with fsync, unless
// ONEBEAT_TEST_POSTGRES, ONEBEAT_TEST_REDIS and ONEBEAT_TEST_RABBITMQ name them,
// and makes databases and queues of its own, which it removes.
//
//   - CPU is what the kernel charges to the process: user and system time, of all
//     its threads, the servers' not included.
//   - Servers, observer and schedulers share the machine, so that its speed is theirs too.
package main
