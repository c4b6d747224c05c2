# The standby connects from another container; the image's rules admit nobody from elsewhere to replication.
echo 'host replication all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
