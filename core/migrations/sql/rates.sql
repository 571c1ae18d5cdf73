-- The rate of API keys: one bucket per key, shared by all processes.

ALTER TABLE api_key
    ADD CONSTRAINT api_key_rate_check CHECK (rate_per_second > 0 AND rate_burst > 0),
    ADD CONSTRAINT api_key_rate_pair CHECK ((rate_per_second IS NULL) = (rate_burst IS NULL));
-- A bucket is written several times a second: room for updates in place.
ALTER TABLE api_key SET (fillfactor = 70);

-- Draw up to so many calls from a key's bucket, after giving back what was not used of the last
-- ones. Nothing granted: `wait_seconds` until there is a whole call again.
CREATE FUNCTION api_key_draw(
    p_key_id text, p_per_second integer, p_burst integer, p_wanted integer, p_back integer)
RETURNS TABLE (granted integer, remaining integer, wait_seconds float8)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_tokens float8;
    v_filled_at timestamptz;
    v_now timestamptz;
BEGIN
    SELECT k.rate_tokens, k.rate_filled_at INTO v_tokens, v_filled_at
    FROM api_key k WHERE k.key_id = p_key_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    v_now := clock_timestamp();
    v_tokens := CASE WHEN v_filled_at IS NULL THEN p_burst ELSE least(p_burst, v_tokens + p_back
        + extract(epoch FROM greatest(v_now - v_filled_at, interval '0')) * p_per_second) END;
    granted := least(p_wanted, floor(v_tokens)::integer);
    v_tokens := v_tokens - granted;
    remaining := floor(v_tokens)::integer;
    wait_seconds := CASE WHEN granted > 0 THEN 0 ELSE (1 - v_tokens) / p_per_second END;
    UPDATE api_key k SET rate_tokens = v_tokens, rate_filled_at = v_now
    WHERE k.key_id = p_key_id;
    RETURN NEXT;
END $$;
