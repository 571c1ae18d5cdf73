-- The way back from rates.sql.
DROP FUNCTION IF EXISTS api_key_draw(text, integer, integer, integer, integer);
ALTER TABLE api_key RESET (fillfactor);
ALTER TABLE api_key DROP CONSTRAINT IF EXISTS api_key_rate_pair;
ALTER TABLE api_key DROP CONSTRAINT IF EXISTS api_key_rate_check;
