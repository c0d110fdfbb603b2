# Takes a job, signs its name, and brings the result back.
key=$(cat /run/secrets/key)
while sleep 0.2; do
  job=$(wget -qO- http://spool:8000/cgi-bin/take)
  [ -n "$job" ] || continue
  signature=$(echo "$key $job" | sha256sum | cut -c 1-12)
  echo "$job"
  wget -qO /dev/null "http://spool:8000/cgi-bin/bring?$job-$signature"
done
