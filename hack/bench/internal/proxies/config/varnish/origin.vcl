vcl 4.1;
backend origin { .host = "@HOST@"; .port = "@PORT@"; }
