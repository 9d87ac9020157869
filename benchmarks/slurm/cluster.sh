#!/bin/sh
# One-machine SLURM cluster, to run trainer=slurm for real. Root on Debian, in a container or a virtual machine:
#   apt-get install --no-install-recommends slurm-wlm munge
#   sh benchmarks/slurm/cluster.sh start FOLDER     # then:  export SLURM_CONF=FOLDER/slurm.conf
#   sh benchmarks/slurm/cluster.sh stop FOLDER
set -eu
action=${1:?start or stop} folder=$(realpath -m "${2:?folder of configuration, logs and state}")

case $action in
start)
    mkdir -p "$folder/state" "$folder/spool" /run/munge
    chown munge: /run/munge
    host=$(hostname -s)
    # No cgroups, no accounting: they need rights that a container lacks.
    cat > "$folder/slurm.conf" <<END
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobRequeue=1
MpiDefault=none
ReturnToService=2
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
    export SLURM_CONF="$folder/slurm.conf"
    su -s /bin/sh munge -c "/usr/sbin/munged --pid-file=/run/munge/munged.pid"
    slurmctld
    slurmd
    # A job that was requeued waits two minutes before it starts again; the begin time can be set back.
    sinfo
    ;;
stop)
    for daemon in slurmd slurmctld; do
        if [ -f "$folder/$daemon.pid" ]; then kill "$(cat "$folder/$daemon.pid")"; fi
    done
    if [ -f /run/munge/munged.pid ]; then kill "$(cat /run/munge/munged.pid)"; fi
    ;;
*)
    echo "start or stop, got $action" >&2
    exit 2
    ;;
esac
